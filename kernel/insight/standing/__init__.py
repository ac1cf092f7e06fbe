"""Why an order's work and its callback stand as they do: facts of the rows, and a sentence each.

`rest` says whether all work stands still.
"""
