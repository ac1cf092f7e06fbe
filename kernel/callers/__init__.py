"""Who asks and where answers go: keys, scopes, secrets, callback rules."""
