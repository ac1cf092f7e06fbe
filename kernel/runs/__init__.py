"""One run from claim to commit: claim, execute, finish; fence and leases."""
