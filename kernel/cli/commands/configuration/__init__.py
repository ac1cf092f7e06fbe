"""`kernel config` and `kernel secrets`: what is set, and the keys that seal secrets."""
