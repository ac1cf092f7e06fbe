"""Sends requests to receivers: checked, pinned, bounded. The one way in to this room.

`Transport.send` checks the URL, has `kernel.transport.connecting` resolve, vet, connect and pin,
sends, and reads a bounded answer, all under one deadline and one byte budget. It knows nothing of
deliveries, attempts or signatures.
"""

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from types import MappingProxyType
from typing import Any

import requests
from urllib3.exceptions import HTTPError, MaxRetryError

from kernel.errors import AddressRefused, TransportError
from kernel.transport.adapter import Adapter, prepare
from kernel.transport.addresses import CallbackPolicy, check_url
from kernel.transport.answers import is_text, unpacked
from kernel.transport.connecting.descriptors import kept_share
from kernel.transport.connecting.dialer import Dialer
from kernel.transport.connecting.lookups import Lookups, Resolver, system_resolver
from kernel.transport.connecting.proxy import Proxy
from kernel.transport.connecting.sockets import Exchange, current
from kernel.transport.connecting.tls import TlsContexts
from kernel.transport.kept import KeptConnections
from kernel.transport.steps import Observer
from kernel.transport.tls_identity import TlsIdentity

# How many of a body's first bytes an answer holds, if the request does not say.
BODY_BYTES = 1024
METHODS = frozenset({"POST", "PUT", "PATCH", "GET"})

# What requests, urllib3, http.client and the sockets raise when a conversation goes wrong.
# ValueError: a header that cannot be sent.
_BROKEN = (requests.RequestException, HTTPError, HTTPException, OSError, ValueError)


@dataclass(frozen=True)
class Limits:
    """Budgets of one request: seconds for lookup and connect, bytes for the whole answer.

    ``max_body``: bytes of the body of a request that asks for more of it than ``max_bytes``.
    ``pool_size``: how many idle connections are kept per (scheme, host, port), ``max_kept``: for
    all of them together, and no more than the process's limit of descriptors has room for.
    ``max_idle``: seconds after which an idle connection is closed. ``max_lookups``: how many names
    are looked up at once, see `kernel.transport.connecting.lookups.Lookups`.
    """

    dns_timeout: float = 3.0
    connect_timeout: float = 3.0
    max_bytes: int = 65536
    max_body: int = 1 << 20
    pool_size: int = 16
    max_kept: int = 1024
    max_idle: float = 15.0
    max_lookups: int = 64


@dataclass(frozen=True)
class Request:
    """What is sent; ValueError for a method that is not one of METHODS, or a GET with a body.

    Its ``repr`` shows neither headers nor body nor URL: each of them may hold a secret.

    ``headers``: those that are the transport's own (`kernel.transport.headers`) are left out.
    ``timeout``: seconds for all of it, the transport's own if None. ``read_bytes``: how many of the
    body's first bytes the answer holds; the transport's `Limits.max_body` holds all the same.
    ``identity``: the client certificate and the authority of this receiver, over https.
    ``observer``: is told the steps of `kernel.transport.steps`.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    method: str = "POST"
    timeout: float | None = None
    identity: TlsIdentity | None = None
    read_bytes: int = BODY_BYTES
    observer: Observer | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"{self.method!r} is not one of {', '.join(sorted(METHODS))}")
        if self.method == "GET" and self.body:
            raise ValueError("a GET has no body")


@dataclass(frozen=True)
class Response:
    """An answer with a 2xx, 4xx or 5xx status.

    ``headers``: names in lower case. ``body``: its first bytes, as many as the request asked for,
    without a content coding, and not to be trusted. ``phases``: milliseconds for dns, connect, tls,
    send, wait and read, as far as they took place. ``cut``: why the body was not read to its end
    (``timeout``, ``too_large``, ``protocol``; ``coding``: it is said to be packed in a way that is
    not known here, or that it is not, and stands as received). The status is the receiver's word
    all the same.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    phases: Mapping[str, float]
    cut: str | None = None


class Transport:
    """Sends requests, from any number of threads; keeps connections. Make one per process.

    ``timeout``: seconds for all of a request that has no other. ``ca_file``: a PEM file of
    authorities to trust beside the public ones; OSError when it cannot be read. ``resolver``: what
    looks names up, see `kernel.transport.connecting.lookups.Resolver`. ``proxy``: through which
    every request goes, to the address that was vetted here.
    """

    def __init__(
        self,
        timeout: float = 15.0,
        ca_file: str | None = None,
        limits: Limits = Limits(),
        resolver: Resolver = system_resolver,
        proxy: Proxy | None = None,
    ) -> None:
        self._timeout = timeout
        self._limits = limits
        lookups = Lookups(resolver, limits.max_lookups)
        self._dialer = Dialer(lookups, limits.dns_timeout, limits.connect_timeout, proxy)
        total = min(limits.max_kept, kept_share())
        self._kept = KeptConnections(limits.pool_size, total, limits.max_idle)
        self._contexts = TlsContexts(ca_file)
        self._adapter = Adapter(self._contexts.without_identity, self._kept)

    def send(self, request: Request, policy: CallbackPolicy, caller: Hashable = None) -> Response:
        """Send a request on behalf of ``caller`` and return the answer.

        Raises TransportError, whose reason is one of

        - ``refused``: the URL, or an address it resolves to, is not allowed;
        - ``dns``: no address within the lookup's time;
        - ``connect``: no address took the connection, or a kept one was gone;
        - ``tls``: the handshake failed, for the certificate of either end too;
        - ``timeout``: the status line and headers were not complete in time;
        - ``too_large``: they were more than ``max_bytes``;
        - ``redirect``: a 3xx; it is not followed, and its body not read;
        - ``protocol``: closed, reset, or not HTTP/1;
        - ``proxy``: the operator's proxy is not reached, or does not do its work; as ``no_room``;
        - ``no_room``: this process lacks a descriptor, or the caller a slot for its lookup; says
          nothing about the receiver, which has seen nothing.

        Its ``data`` holds ``phases``; of an answer, as of a redirect, also ``status`` and what its
        ``Retry-After`` says (``retry_after``), if it has one. 4xx and 5xx are returned.
        """
        try:
            target = check_url(request.url, policy)
        except AddressRefused as error:
            raise TransportError("refused", _for_operator(error)) from None
        seconds = self._timeout if request.timeout is None else request.timeout
        deadline = time.monotonic() + seconds
        exchange = Exchange(
            *(target, policy, self._dialer.dial, deadline),
            bytes_left=self._limits.max_bytes,
            caller=caller,
            observer=request.observer,
        )
        token = current.set(exchange)
        try:
            if request.identity is not None:
                exchange.context = self._contexts.of(request.identity)
            raw = self._send(_prepared(request), exchange)
            asked = min(request.read_bytes, self._limits.max_body)
            exchange.bytes_left += max(0, asked - self._limits.max_bytes)  # the head had the least
            return _read(raw, exchange, asked)
        except TransportError as error:
            error.data["phases"] = exchange.phases
            raise
        finally:
            current.reset(token)

    @property
    def kept(self) -> int:
        """How many idle connections are kept."""
        return len(self._kept)

    def sweep(self) -> None:
        """Close kept connections that were idle for too long, or were closed by the receiver.

        Call it every few seconds, for when no request does it by the way.
        """
        self._kept.sweep()

    def close(self) -> None:
        """Close the kept connections. Requests under way end by themselves."""
        self._adapter.close()
        self._kept.close()

    def _send(self, prepared: requests.PreparedRequest, exchange: Exchange) -> Any:
        try:
            return self._adapter.send(prepared, stream=True).raw
        except _BROKEN as error:
            if exchange.unheard:
                # The receiver closed the kept connection before it saw a byte of this request,
                # so this is not a repetition. A request that may have been seen is a failure.
                exchange.fresh, exchange.unheard = True, False
                return self._send(prepared, exchange)
            if exchange.reused and not exchange.answered:
                gone = f"the kept connection was gone: {_detail(error)}"
                raise TransportError("connect", gone) from None
            raise TransportError("protocol", _detail(error)) from None


def _prepared(request: Request) -> requests.PreparedRequest:
    body = None if request.method == "GET" else request.body
    return prepare(request.method, request.url, request.headers, body)


def _read(raw: Any, exchange: Exchange, read_bytes: int) -> Response:
    # Of a field that stands more than once, the last one.
    headers = {name.lower(): value for name, value in raw.headers.items()}
    if not 200 <= raw.status <= 599 or 300 <= raw.status <= 399:
        raw.close()
        reason = "redirect" if 300 <= raw.status <= 399 else "protocol"
        error = TransportError(reason, f"the answer has status {raw.status}")
        error.data |= {"status": raw.status, "retry_after": headers.get("retry-after")}
        raise error
    started = time.monotonic()
    body, cut = _read_body(raw, read_bytes)
    if codings := raw.headers.get("Content-Encoding"):
        body, cut = _unpacked(body, cut, codings, read_bytes)
    exchange.took("read", started)
    phases = MappingProxyType(exchange.phases)
    return Response(raw.status, MappingProxyType(headers), body, phases, cut)


def _read_body(raw: Any, wanted: int) -> tuple[bytes, str | None]:
    """Read to the end, so that the connection can be kept, or to the end of the budget."""
    body = bytearray()
    try:
        while chunk := raw.read1(8192, decode_content=False):
            body += chunk[: wanted - len(body)]
    except TransportError as error:
        return bytes(body), error.reason
    except _BROKEN:
        return bytes(body), "protocol"
    return bytes(body), None


def _unpacked(body: bytes, cut: str | None, codings: str, wanted: int) -> tuple[bytes, str | None]:
    """Return a packed body as it is meant, as many bytes as are wanted of it."""
    if is_text(body):
        return body, cut
    found = unpacked(body, codings, wanted)
    if found is None:
        return body, cut or "coding"
    inner, has_ended = found
    # Else the end is beyond what was wanted, of one or the other.
    is_short = not has_ended and len(body) < wanted and len(inner) < wanted
    return inner, cut or ("protocol" if is_short else None)


def _detail(error: Exception) -> str:
    """Return an error's own words, for the log: without URL or headers, which may be secrets."""
    if isinstance(error, ValueError):
        return "Invalid header: a name or a value that cannot be sent"
    cause = error.args[0] if isinstance(error, requests.RequestException) and error.args else error
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return f"{type(cause).__name__}: {cause}"[:500]


def _for_operator(error: AddressRefused) -> str:
    return f"{error.message}; to allow it: {error.setting}" if error.setting else error.message
