"""How a run ends: the handler is called and judged, and people are told."""
