"""How everything is right now, on a terminal."""
