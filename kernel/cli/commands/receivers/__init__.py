"""`kernel receivers`: where callers' callbacks go, with what is secret about each place."""
