"""What all views share: requests in, errors out, limits, sessions, links."""
