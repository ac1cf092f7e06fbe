"""Ways to ask: statements compiled once, walks by key, jumps from group to group of an index."""
