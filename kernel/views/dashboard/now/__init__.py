"""The first page: what there is now, and what is wrong with it."""
