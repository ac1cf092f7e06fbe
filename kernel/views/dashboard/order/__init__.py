"""The page of one order: what happened to it, what it holds, and what can be done about it."""
