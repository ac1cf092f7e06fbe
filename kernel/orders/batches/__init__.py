"""Many orders of one request: each is checked alone, and those that are good are one commit."""
