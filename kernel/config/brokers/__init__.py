"""Where the broker is and how clients get in: the one place that every client of a Redis asks."""
