"""Who changed what, from where and why: acts, seals over them, and counts of refused keys."""
