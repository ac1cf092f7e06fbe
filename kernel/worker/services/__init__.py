"""What the dispatcher's loop runs: services, each with a time of its own, also after a failure."""
