"""The system as people use it: a browser, the dashboard without one, a terminal."""
