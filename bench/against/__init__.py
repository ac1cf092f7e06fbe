"""Measures kernel against other durable engines: ./run bench peers; see docs/performance.md."""
