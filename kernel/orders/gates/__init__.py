"""What keeps an accepted order from beginning, one file for each reason, and what lets it go on."""
