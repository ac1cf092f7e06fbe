"""Questions about the rows for operators: each bounded, and answered from an index.

`backlog`, `state_counts`, `hosts`, `workers` and `readiness` say how it is now, `minutes` and
`trends` how it went, `order_search` and `delivery_search` find rows, `process_metrics` adds up the
counts of all processes.
"""
