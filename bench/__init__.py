"""Measures kernel beside the code it replaces; see docs/performance.md."""
