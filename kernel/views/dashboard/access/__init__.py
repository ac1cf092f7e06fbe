"""Pages of who may do what, and of who did: callers and keys, people, the audit trail."""
