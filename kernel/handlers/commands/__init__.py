"""Handlers without Python: a file of commands, each a program that is started for an order.

``KERNEL_HANDLERS=commands.toml`` names the file. `file` reads and checks it, `arguments` makes the
model that checks an order, `templates` the program's argument list; `handler` runs the program by
`process`, of which `supervise` leaves nothing behind; `lines` reads what it says, and `ends` tells
what its exit code means.
"""
