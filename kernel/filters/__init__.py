"""Which orders and which callbacks: one filter for pages, the API, the command line and bulk acts.

`fields` reads a filter from text and writes it again, `orders` and `callbacks` say it in SQL,
`plans` finds its orders along an index, and `counts` tells what it holds.
"""
