"""`kernel callers`: the ticketing systems that may submit orders."""
