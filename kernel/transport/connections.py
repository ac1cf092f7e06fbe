"""urllib3's connections and pools, guarded and kept by us; `kernel.transport` only.

A connection is opened by `Exchange.dial`, to a vetted address; the name stays what SNI, the
certificate check and the Host header go by.
"""

import os
import socket
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from kernel.errors import AddressRefused
from kernel.transport.addresses import CallbackPolicy, check_address
from kernel.transport.answers import FramedResponse
from kernel.transport.connecting.sockets import Exchange, acked, current
from kernel.transport.kept import KeptConnections, is_silent

# No public API lets a connection go to an address other than its name's, so these are leaned on.
for _owner, _name in (
    (HTTPConnection, "_new_conn"),
    (HTTPSConnection, "_new_conn"),
    (HTTPConnectionPool, "_validate_conn"),
    (HTTPConnectionPool, "_get_conn"),
    (HTTPConnectionPool, "_put_conn"),
):
    if not hasattr(_owner, _name):
        raise ImportError(f"{_owner.__name__}.{_name} is gone: callbacks would not be pinned")


class _Guarded:
    """A connection that goes to a vetted address of its name. Mixed in before urllib3's classes."""

    sock: Any
    _peer = ""
    _policy: CallbackPolicy

    @property
    def is_connected(self) -> bool:
        """Whether the idle connection is open, and its receiver has said nothing since."""
        return self.sock is not None and is_silent(self.sock)

    @property
    def may_be_kept(self) -> bool:
        """Whether the last answer was read to its end, and nothing came after it."""
        return self.sock is not None and self.sock.exchange.ended_cleanly

    def _new_conn(self) -> socket.socket:
        exchange = current.get()
        sock = exchange.dial(exchange)
        self._peer, self._policy = sock.leads_to, exchange.policy
        return sock

    def ready(self) -> None:
        """Be connected for the current exchange, by a kept connection if it may be used."""
        exchange = current.get()
        if self.sock is not None and not self._may_reuse(exchange):
            self.close()  # type: ignore[attr-defined]
        exchange.reused = self.sock is not None
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        else:
            self.sock.exchange = exchange
            exchange.acked = acked(self.sock)

    def _may_reuse(self, exchange: Exchange) -> bool:
        # Another caller's policy may not allow the address that this connection's allowed.
        if exchange.policy is self._policy or exchange.policy == self._policy:
            return True
        try:
            check_address(self._peer, exchange.policy, exchange.target.named)
        except AddressRefused:
            return False
        return True

    def send(self, data: Any) -> None:
        """Collect: head and body leave together, one packet and one system call less."""
        self._out.append(data)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """Write the request, all at once, with the URL as it was given.

        urllib3 has encoded it anew: a receiver's signature or route may be of the very characters.
        """
        exchange = current.get()
        started = time.monotonic()
        self._out: list[bytes] = []
        super().request(method, exchange.target.path, *args, **kwargs)  # type: ignore[misc]
        self.sock.sendall(b"".join(self._out))
        exchange.took("send", started)

    def getresponse(self) -> Any:
        """Read the answer up to the end of its headers."""
        exchange, sock = current.get(), self.sock
        started = time.monotonic()
        try:
            response = super().getresponse()  # type: ignore[misc]
        except BaseException:
            # The half-made response holds the socket, and cannot be reached to be closed.
            if (descriptor := sock.detach()) >= 0:
                os.close(descriptor)
            raise
        exchange.took("wait", started)
        return response


class _PlainConnection(_Guarded, HTTPConnection):
    """http, guarded."""

    response_class = FramedResponse


class _TlsConnection(_Guarded, HTTPSConnection):
    """https, guarded."""

    response_class = FramedResponse


class _Kept:
    """A pool that keeps its connections with those of all other origins, and has them make ready.

    No identity's connection is another's: each has a pool of its own, and a key of its own there.

    ``kept`` stands before urllib3's own arguments.
    """

    def __init__(self, kept: KeptConnections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept = kept
        # A connection shows the identity that it was opened with to every request that it carries.
        identity = getattr(kwargs.get("ssl_context"), "fingerprint", "")
        self._origin = self.scheme, self.host, self.port, identity  # type: ignore[attr-defined]

    def _get_conn(self, timeout: float | None = None) -> Any:
        kept = None if current.get().fresh else self._kept.take(self._origin)
        return kept or self._new_conn()  # type: ignore[attr-defined]

    def _validate_conn(self, conn: Any) -> None:
        conn.ready()
        super()._validate_conn(conn)  # type: ignore[misc]

    def _put_conn(self, conn: Any) -> None:
        if conn is None:
            return
        if conn.may_be_kept:
            self._kept.put(self._origin, conn)
        else:
            conn.close()


class PlainPool(_Kept, HTTPConnectionPool):
    """The connections of one http origin."""

    ConnectionCls = _PlainConnection


class TlsPool(_Kept, HTTPSConnectionPool):
    """The connections of one https origin."""

    ConnectionCls = _TlsConnection
