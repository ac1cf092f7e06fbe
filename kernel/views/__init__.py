"""HTTP: reads requests, calls the rooms below, and answers with their results or errors.

`app` puts the blueprints together. `api` has the API under /v1 (its pauses and replays stand in
`pauses`), `original` the addresses of the system before, `order_page` the page of one order for the
person who ordered, `dashboard` the operators' pages, `openapi` the API document. `html` renders,
`http` is what all of them share.
"""
