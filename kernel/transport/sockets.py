"""Sockets that keep to their budgets, and the connections that own them; `kernel.transport` only.

requests' own timeouts are per system call: a receiver that drips one byte a second holds a
sender thread for hours. Here the clock and the byte count belong to the *exchange*, one POST and
its answer, and the sockets ask it before every call. A connection is opened by `Exchange.dial`, to
a vetted address; the name stays what SNI, the certificate check and the Host header go by.

What goes wrong is raised as `TransportError` where it is known, not guessed afterwards from
wrapped exceptions.
"""

import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from kernel.errors import AddressRefused, TransportError
from kernel.transport.addresses import CallbackPolicy, Target, check_address

# No public API lets a connection go to an address other than its name's, so these are leaned on.
for _owner, _name in (
    (HTTPConnection, "_new_conn"),
    (HTTPSConnection, "_new_conn"),
    (HTTPConnectionPool, "_validate_conn"),
    (HTTPConnectionPool, "_put_conn"),
    (ssl.SSLContext, "sslsocket_class"),
):
    if not hasattr(_owner, _name):
        raise ImportError(f"{_owner.__name__}.{_name} is gone: callbacks would not be pinned")


@dataclass(slots=True)
class Exchange:
    """One POST and its answer: where to, under which policy, until when, how many bytes.

    ``deadline``: in monotonic seconds. ``max_idle``: kept connections that were idle for more
    seconds are not used. ``fresh``: none is to be used. ``reused``: one is. ``answered``: a byte
    came back. ``unheard``: the receiver had closed the kept connection and has seen nothing of
    this.
    """

    target: Target
    policy: CallbackPolicy
    dial: Callable[["Exchange"], "PlainSocket"]
    deadline: float
    bytes_left: int
    max_idle: float
    fresh: bool = False
    reused: bool = False
    answered: bool = False
    acked: int | None = None
    unheard: bool = False
    phases: dict[str, float] = field(default_factory=dict)

    def remaining(self) -> float:
        """Return the seconds left; raise TransportError("timeout") when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TransportError("timeout", "the time for this callback is over")
        return left

    def took(self, phase: str, since: float) -> float:
        """Note the milliseconds since ``since`` for a phase; return the time now."""
        now = time.monotonic()
        self.phases[phase] = round((now - since) * 1000, 2)
        return now

    def count(self, received: int) -> int:
        """Take received bytes off the budget; raise TransportError("too_large") when over."""
        self.bytes_left -= received
        if self.bytes_left < 0:
            raise TransportError("too_large", "the answer has too many bytes")
        self.answered = self.answered or received > 0
        return received


# The exchange the current thread is busy with: connections are made deep inside of urllib3.
current: ContextVar[Exchange] = ContextVar("exchange")


class _Budgeted:
    """A socket whose calls end with its exchange. Mixed in before a socket class."""

    exchange: Exchange

    def recv_into(self, *args: Any) -> int:
        exchange = self.exchange
        self.settimeout(exchange.remaining())  # type: ignore[attr-defined]
        try:
            received = exchange.count(super().recv_into(*args))  # type: ignore[misc]
        except TimeoutError:
            raise TransportError("timeout", "the answer took too long") from None
        if not received and exchange.reused and not exchange.answered:
            # An orderly end acknowledges all that came before it: nothing new, nothing seen.
            exchange.unheard = exchange.acked is not None and exchange.acked == acked(self)
        return received

    def sendall(self, *args: Any) -> None:
        self.settimeout(self.exchange.remaining())  # type: ignore[attr-defined]
        try:
            super().sendall(*args)  # type: ignore[misc]
        except TimeoutError:
            raise TransportError("timeout", "the request was not taken in time") from None


def acked(sock: Any) -> int | None:
    """Return how many bytes sent on a connection its peer acknowledged; None if unknown."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
        return int(struct.unpack_from("Q", info, 120)[0])  # tcpi_bytes_acked, Linux >= 4.1
    except (AttributeError, OSError, struct.error):
        return None


class PlainSocket(_Budgeted, socket.socket):
    """A TCP socket that keeps to its exchange's budgets."""


class TlsSocket(_Budgeted, ssl.SSLSocket):
    """A TLS socket that keeps to its exchange's budgets."""


class TlsContext(ssl.SSLContext):
    """A client's TLS settings, shared by all connections: verified, TLS 1.2 or later, HTTP/1.1.

    ``ca_file`` adds a private authority to the public ones.
    """

    sslsocket_class = TlsSocket

    @classmethod
    def make(cls, ca_file: str | None) -> "TlsContext":
        """Build one; OSError when ``ca_file`` cannot be read."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        if ca_file:
            context.load_verify_locations(ca_file)
        super(TlsContext, context).set_alpn_protocols(["http/1.1"])
        return context

    def set_alpn_protocols(self, alpn_protocols: Any) -> None:
        """Do nothing: urllib3 sets the same again for every connection.

        On a context shared by threads OpenSSL would free the list another thread is copying.
        """

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Do the handshake within the exchange's time; raise TransportError("tls")."""
        exchange = current.get()
        started = time.monotonic()
        sock.settimeout(exchange.remaining())
        try:
            # The timeout of a handshake is for all of it, however it is dripped.
            wrapped = super().wrap_socket(sock, *args, **kwargs)
        except TimeoutError:
            raise TransportError("timeout", "the TLS handshake took too long") from None
        except (OSError, ValueError) as error:
            raise TransportError("tls", f"{type(error).__name__}: {error}") from None
        exchange.took("tls", started)
        wrapped.exchange = exchange  # type: ignore[attr-defined]
        return wrapped


class _Guarded:
    """A connection that goes to a vetted address of its name. Mixed in before urllib3's classes."""

    sock: Any
    _peer = ""
    _policy: CallbackPolicy
    _used = 0.0

    def _new_conn(self) -> socket.socket:
        exchange = current.get()
        sock = exchange.dial(exchange)
        self._peer, self._policy = sock.getpeername()[0], exchange.policy
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
        if exchange.fresh or time.monotonic() - self._used > exchange.max_idle:
            return False
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

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Write the request, all at once."""
        exchange = current.get()
        started = time.monotonic()
        self._out: list[bytes] = []
        super().request(*args, **kwargs)  # type: ignore[misc]
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
        self._used = exchange.took("wait", started)
        return response


class _PlainConnection(_Guarded, HTTPConnection):
    """http, guarded."""


class _TlsConnection(_Guarded, HTTPSConnection):
    """https, guarded."""


class _Kept:
    """A pool that has its connections make ready, and drops what it cannot keep in silence."""

    pool: Any

    def _validate_conn(self, conn: Any) -> None:
        conn.ready()
        super()._validate_conn(conn)  # type: ignore[misc]

    def _put_conn(self, conn: Any) -> None:
        if conn is not None and self.pool is not None and self.pool.full():
            conn.close()
        else:
            super()._put_conn(conn)  # type: ignore[misc]


class PlainPool(_Kept, HTTPConnectionPool):
    """The kept connections of one http origin."""

    ConnectionCls = _PlainConnection


class TlsPool(_Kept, HTTPSConnectionPool):
    """The kept connections of one https origin."""

    ConnectionCls = _TlsConnection
