"""TCP keep-alive of the connections to the database and to the broker.

Firewalls and load balancers forget connections that are idle for some minutes, and drop their
packets without a word; Linux itself sends its first probe after two hours.
"""

import socket

# A probe after 30 idle seconds; three unanswered ones, 5 seconds apart, end the connection. What
# was sent is acknowledged within 45 seconds: while it is not, no probes are sent. With less than
# the probes take together, Linux would end an idle connection after the first probe that is lost.
_SECONDS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
_ALL = {**_SECONDS, "TCP_USER_TIMEOUT": 45_000}

# The options that this system knows, for `setsockopt(IPPROTO_TCP, option, value)`.
KEEP_ALIVE: dict[int, int] = {
    getattr(socket, name): value for name, value in _ALL.items() if hasattr(socket, name)
}


def keep_alive(connected: socket.socket) -> None:
    """Set keep-alive on a socket, if it is one of TCP."""
    if connected.family == socket.AF_UNIX:
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEP_ALIVE.items():
        connected.setsockopt(socket.IPPROTO_TCP, option, value)
