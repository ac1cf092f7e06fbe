"""Who is told of conditions: rules in rows, notifications as orders of a caller of their own."""
