"""What kernel is compared with: the original's structure, and the same code tuned."""
