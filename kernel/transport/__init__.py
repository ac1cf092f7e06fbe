"""The one way out: allowed addresses, a pinned request, its answer, when to try again."""
