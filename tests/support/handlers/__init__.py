"""Registries of handlers for tests: some misbehave, some can be watched, one cannot be imported."""
