"""Limits of tags: which there are, who holds a slot, and how orders line up for one."""
