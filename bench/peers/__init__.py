"""The peers of kernel: the original's structure, and the same code tuned."""
