"""The one way out: allowed addresses, a pinned request, its answer, when to try again.

`addresses` reads a URL and says what is allowed; `connecting` looks the host up and connects to a
vetted address; `client` sends one request and reads its answer; `tls_identity` says who this end is
towards a receiver, and whom it trusts there; `headers` names the headers that are not the caller's
to set; `backoff` says how a delivery goes on.
"""
