"""Connections that are kept for the next request to their origin: few, young, and silent.

A kept connection is closed when it was idle for too long, when its receiver closes it or says
something that no request asked for, and when there are too many, the one idle longest first.
"""

import select
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

# scheme, host, port, and the fingerprint of the identity that was shown there ("" for none).
Origin = tuple[str, str, int, str]


class KeptConnections:
    """The idle connections of a transport, for any number of threads.

    ``per_origin`` and ``total``: how many are kept. ``max_idle``: seconds after which one is
    closed: by `sweep`, or by the next `put` or `take` of any origin.
    """

    def __init__(self, per_origin: int, total: int, max_idle: float) -> None:
        self._per_origin = per_origin
        self._total = total
        self._max_idle = max_idle
        self._lock = threading.Lock()
        self._by_origin: dict[Origin, list[Any]] = {}
        # Each connection's origin and the monotonic time since which it is idle, longest first.
        self._idle: OrderedDict[Any, tuple[Origin, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many connections are kept."""
        return len(self._idle)

    def take(self, origin: Origin) -> Any | None:
        """Return the connection to ``origin`` that was used last and is silent; None without."""
        while True:
            with self._lock:
                gone = self._expired()
                kept = self._by_origin.get(origin)
                taken = kept[-1] if kept else None
                if taken is not None:
                    self._forget(taken)
            _close(gone)
            if taken is None or taken.is_connected:
                return taken
            taken.close()

    def put(self, origin: Origin, connection: Any) -> None:
        """Keep a connection whose last answer is over; close those that are too many."""
        with self._lock:
            gone = self._expired()
            kept = self._by_origin.setdefault(origin, [])
            kept.append(connection)
            self._idle[connection] = origin, time.monotonic()
            if len(kept) > self._per_origin:
                gone.append(self._forget(kept[0]))
            while len(self._idle) > self._total:
                gone.append(self._forget(next(iter(self._idle))))
        _close(gone)

    def sweep(self) -> None:
        """Close the connections that were idle for too long, or that are not silent."""
        with self._lock:
            gone = self._expired()
            gone += [self._forget(one) for one in list(self._idle) if not one.is_connected]
        _close(gone)

    def close(self) -> None:
        """Close all of them, and keep none from now on."""
        with self._lock:
            self._total = 0
            gone = [self._forget(one) for one in list(self._idle)]
        _close(gone)

    def _expired(self) -> list[Any]:
        """Forget and return those that were idle for too long."""
        since, gone = time.monotonic() - self._max_idle, []
        while self._idle:
            connection, (_, put) = next(iter(self._idle.items()))
            if put >= since:
                break
            gone.append(self._forget(connection))
        return gone

    def _forget(self, connection: Any) -> Any:
        origin, _ = self._idle.pop(connection)
        kept = self._by_origin[origin]
        kept.remove(connection)
        if not kept:
            del self._by_origin[origin]
        return connection


def is_silent(sock: Any) -> bool:
    """Say whether an idle connection is open and nothing has come in: for a request, fit to use.

    What TLS sends for itself, a session ticket or a new key, is read and is not the receiver's
    word.
    """
    is_tls = isinstance(sock, ssl.SSLSocket)
    if is_tls and sock.pending():
        return False
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(0):
        return True
    if not is_tls:
        return False
    sock.settimeout(0)
    try:
        sock.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        pass
    return False


def _close(connections: Iterable[Any]) -> None:
    for one in connections:
        one.close()
