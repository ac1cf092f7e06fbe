"""`./run pins`: the tests with the oldest and the newest versions that pyproject.toml allows."""
