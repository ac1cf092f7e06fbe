"""Bulk acts: many orders or callbacks are changed by one job in rows, a few at a time.

`kinds` says what can be done to items of which states, `jobs` begins, finds and aborts a job,
`choosing` finds its next items, `steps` does them, each with the job's own row in its commit.
"""
