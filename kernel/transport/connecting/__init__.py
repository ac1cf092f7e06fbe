"""From a URL's host to a connected socket that keeps to its exchange's budgets.

`dialer` is the way in: it has `lookups` resolve the name, vets every answer, has `connect` try the
addresses, or asks the operator's `proxy`, and checks the peer. `sockets` holds each call to the
exchange's time and bytes; `tls` does so too, and verifies the receiver; `descriptors` says how many
sockets this process may open, and whether a failure is its own.
"""
