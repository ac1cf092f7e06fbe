"""What all views share: credentials, bodies, limits, sessions, links, ids of requests, errors."""
