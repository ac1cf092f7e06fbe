"""Questions about the rows for operators: each bounded, and answered from an index.

`conditions` says what is wrong, `backlog`, `state_counts`, `hosts`, `workers` and `readiness` how
it is now, `trends` how it went, `search` finds rows, `process_metrics` adds up the counts of all
processes.
"""
