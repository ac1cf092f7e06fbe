"""Short orders of one message that share a commit: which may, their claim, and their runs."""
