"""An order's life outside a run: accepted, listed, cancelled, due."""
