"""What went wrong: the runs of an order, each with its end."""
