"""Pages of the work itself: what runs where, what recurs, what limits it."""
