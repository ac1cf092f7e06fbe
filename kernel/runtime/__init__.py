"""What one process holds (`Kernel`), counts and traces, and what is checked before it starts."""
