"""What the end of a run, or of several together, leaves in the rows beside the order's state."""
