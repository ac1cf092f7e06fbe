"""TLS towards receivers: verified, within the exchange's budgets, one context per identity.

A context is what OpenSSL keeps of whom to trust and which certificate to present. Making one takes
milliseconds, so the contexts of the identities used last are kept.
"""

import socket
import ssl
import threading
import time
from collections import OrderedDict
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from kernel.errors import TransportError
from kernel.transport.connecting.descriptors import is_ours
from kernel.transport.connecting.sockets import Budgeted, current
from kernel.transport.steps import Secured
from kernel.transport.tls_identity import TlsIdentity

# How many identities' contexts are kept; a trust store with the public authorities is large.
KNOWN_IDENTITIES = 64

if not hasattr(ssl.SSLContext, "sslsocket_class"):
    raise ImportError("SSLContext.sslsocket_class is gone: answers over TLS would not be bounded")


class TlsSocket(Budgeted, ssl.SSLSocket):
    """A TLS socket that keeps to its exchange's budgets."""

    def recv_into(self, *args: Any) -> int:
        """Read as a plain socket; raise TransportError("tls") when the receiver refuses us.

        In TLS 1.3 what the receiver says of our certificate comes after the handshake.
        """
        try:
            return super().recv_into(*args)
        except ssl.SSLError as error:
            if self.exchange.reused or self.exchange.answered or "ALERT" not in str(error.reason):
                raise
            raise TransportError("tls", f"the receiver ended TLS: {error.reason}") from None


class TlsContext(ssl.SSLContext):
    """A client's TLS settings, shared by all connections: verified, TLS 1.2 or later, HTTP/1.1.

    ``fingerprint``: of the identity that it presents and trusts by, "" for none.
    """

    sslsocket_class = TlsSocket
    fingerprint = ""

    @classmethod
    def make(cls, ca_file: str | None, identity: TlsIdentity | None = None) -> "TlsContext":
        """Build one; OSError when ``ca_file`` cannot be read.

        ``ca_file`` adds private authorities to the public ones; an identity's own authority is
        trusted in place of both.
        """
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if identity is None or identity.ca is None:
            context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
            if ca_file:
                context.load_verify_locations(ca_file)
        if identity is not None:
            identity.load_into(context)
            context.fingerprint = identity.fingerprint
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
        if exchange.observer is not None:
            exchange.observer(Secured(wrapped.version() or "", wrapped.getpeercert() or {}))
        return wrapped


class TlsContexts:
    """The contexts of a transport, for any number of threads: one per identity, a few of them.

    ``ca_file``: as in `TlsContext.make`; OSError when it cannot be read.
    """

    def __init__(self, ca_file: str | None, size: int = KNOWN_IDENTITIES) -> None:
        self._ca_file, self._size = ca_file, size
        self._lock = threading.Lock()
        self._made: OrderedDict[str, TlsContext] = OrderedDict()
        self.without_identity = TlsContext.make(ca_file)

    def of(self, identity: TlsIdentity) -> TlsContext:
        """Return the identity's context; TransportError no_room or tls if it cannot be made."""
        with self._lock:
            known = self._made.get(identity.fingerprint)
            if known is not None:
                self._made.move_to_end(identity.fingerprint)
                return known
        made = self._make(identity)
        with self._lock:
            kept = self._made.setdefault(identity.fingerprint, made)
            while len(self._made) > self._size:
                self._made.popitem(last=False)
        return kept

    def _make(self, identity: TlsIdentity) -> TlsContext:
        try:
            return TlsContext.make(self._ca_file, identity)
        except (OSError, ValueError) as error:
            lacking = isinstance(error, OSError) and is_ours(error)
            raise TransportError("no_room" if lacking else "tls", str(error)) from None
