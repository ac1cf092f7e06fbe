"""`kernel deliveries`: callbacks one by one, and many at once."""
