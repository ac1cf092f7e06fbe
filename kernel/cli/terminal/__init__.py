"""Output on a terminal: tables, JSON, lines redrawn in place."""
