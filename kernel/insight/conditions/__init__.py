"""What is wrong now: rules over facts, and since when each of them has been so.

`rules` names them, `judge` applies them to `facts` without any I/O, `look` reads the facts. The
overview, `kernel status`, `kernel top`, /readyz and the alert rules of Prometheus say the same.
"""
