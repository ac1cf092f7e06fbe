"""Who asks and where answers go.

`identity` says whose key a request shows, `keys` makes, rotates and revokes keys and signing
secrets, `key_usage` notes when each was last used. `callback_rules` checks what an operator sets
for a caller's callbacks, `profile` reads it back for those that send them.
"""
