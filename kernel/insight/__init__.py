"""What people look at, asked of the rows: each question bounded and answered from an index."""
