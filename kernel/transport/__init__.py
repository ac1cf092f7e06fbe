"""The one way out: allowed addresses, a pinned request, its answer, when to try again.

`addresses` reads a URL and says what is allowed; `dialer` looks the host up and connects to a
vetted address; `sockets` keeps each call within the exchange's time and bytes; `client` sends one
POST and reads its answer; `headers` names the headers that are not the caller's to set; `backoff`
says how a delivery goes on.
"""
