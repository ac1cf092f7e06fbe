"""What is looked at and noted when a handler is registered, and why a module of handlers fails."""
