"""Jobs that let orders go on, or end them, which waited for a time or for a limit."""
