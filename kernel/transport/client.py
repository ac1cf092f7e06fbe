"""POSTs callbacks: checked, pinned, bounded. The one module that speaks HTTP.

`Transport.post` checks the URL, has `kernel.transport.dialer` resolve, vet, connect and pin, sends,
and reads a bounded answer, all under one deadline and one byte budget. It knows nothing of
deliveries, attempts or signatures.

There is no requests *session* on purpose: sessions are what follows redirects, keeps cookies and
reads proxies and ``.netrc`` from the environment. The adapter below one does none of that.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from types import MappingProxyType
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from kernel.errors import AddressRefused, TransportError
from kernel.transport.addresses import CallbackPolicy, check_url
from kernel.transport.dialer import Dialer, Lookups, Resolver, system_resolver
from kernel.transport.headers import USER_AGENT, is_transport_header
from kernel.transport.sockets import Exchange, PlainPool, TlsContext, TlsPool, current

EXCERPT_BYTES = 1024
# Origins whose connections are kept; times Limits.pool_size, the most idle connections there are.
KEPT_ORIGINS = 64

# What requests, urllib3, http.client and the sockets raise when a conversation goes wrong.
# ValueError: a header that cannot be sent.
_BROKEN = (requests.RequestException, HTTPError, HTTPException, OSError, ValueError)


@dataclass(frozen=True)
class Limits:
    """Budgets of one POST: seconds for lookup and connect, bytes for the whole answer.

    ``pool_size``: how many idle connections are kept per (scheme, host, port). ``max_idle``:
    seconds after which a kept connection is not trusted to be open at the other end still.
    ``max_lookups``: how many names are looked up at once, see `kernel.transport.dialer.Lookups`.
    """

    dns_timeout: float = 3.0
    connect_timeout: float = 3.0
    max_bytes: int = 65536
    pool_size: int = 16
    max_idle: float = 30.0
    max_lookups: int = 64


@dataclass(frozen=True)
class Response:
    """An answer with a 2xx, 4xx or 5xx status.

    ``headers``: names in lower case. ``excerpt``: the first bytes of the body, as received and
    not to be trusted. ``phases``: milliseconds for dns, connect, tls, send, wait and read, as far
    as they took place. ``cut``: why the body was not read to its end (``timeout``, ``too_large``,
    ``protocol``); the status is the receiver's word all the same.
    """

    status: int
    headers: Mapping[str, str]
    excerpt: bytes
    phases: Mapping[str, float]
    cut: str | None = None


class Transport:
    """Sends POSTs, from any number of threads; keeps connections. Make one per process.

    ``timeout``: seconds for all of a POST. ``ca_file``: a PEM file of authorities to trust beside
    the public ones; OSError when it cannot be read. ``resolver``: what looks names up, see
    `kernel.transport.dialer.Resolver`.
    """

    def __init__(
        self,
        timeout: float = 15.0,
        ca_file: str | None = None,
        limits: Limits = Limits(),
        resolver: Resolver = system_resolver,
    ) -> None:
        self._timeout = timeout
        self._limits = limits
        lookups = Lookups(resolver, limits.max_lookups)
        self._dialer = Dialer(lookups, limits.dns_timeout, limits.connect_timeout)
        self._adapter = _Adapter(TlsContext.make(ca_file), limits.pool_size)

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, policy: CallbackPolicy
    ) -> Response:
        """POST ``body`` and return the answer.

        Raises TransportError, whose reason is one of

        - ``refused``: the URL, or an address it resolves to, is not allowed;
        - ``dns``: no address within the lookup's time;
        - ``connect``: no address took the connection, or a kept one was gone;
        - ``tls``: the handshake failed, the certificate included;
        - ``timeout``: the status line and headers were not complete in time;
        - ``too_large``: they were more than ``max_bytes``;
        - ``redirect``: a 3xx; it is not followed, and its body not read;
        - ``protocol``: closed, reset, or not HTTP/1.

        Its ``data`` holds ``phases``, and ``status`` if there was one. 4xx and 5xx are returned.
        """
        try:
            target = check_url(url, policy)
        except AddressRefused as error:
            raise TransportError("refused", _for_operator(error)) from None
        deadline = time.monotonic() + self._timeout
        exchange = Exchange(
            *(target, policy, self._dialer.dial, deadline),
            bytes_left=self._limits.max_bytes,
            max_idle=self._limits.max_idle,
        )
        token = current.set(exchange)
        try:
            return _read(self._send(_prepare(url, headers, body), exchange), exchange)
        except TransportError as error:
            error.data["phases"] = exchange.phases
            raise
        finally:
            current.reset(token)

    def close(self) -> None:
        """Close the kept connections. POSTs under way end by themselves."""
        self._adapter.close()

    def _send(self, request: requests.PreparedRequest, exchange: Exchange) -> Any:
        try:
            return self._adapter.send(request, stream=True).raw
        except _BROKEN as error:
            if exchange.unheard:
                # The receiver closed the kept connection before it saw a byte of this request,
                # so this is not a repetition. A request that may have been seen is a failure.
                exchange.fresh, exchange.unheard = True, False
                return self._send(request, exchange)
            if exchange.reused and not exchange.answered:
                raise TransportError("connect", f"the kept connection was gone: {error}") from None
            raise TransportError("protocol", f"{type(error).__name__}: {error}"[:500]) from None


class _Adapter(HTTPAdapter):
    """requests' adapter over guarded pools: no environment, no proxies, no cookies."""

    def __init__(self, context: TlsContext, pool_size: int) -> None:
        self._context = context
        super().__init__(KEPT_ORIGINS, pool_size)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        pool_kwargs["ssl_context"] = self._context
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        # From the target, not from the URL: nothing parses it a second time, differently.
        target = current.get().target
        return self.poolmanager.connection_from_host(target.host, target.port, target.scheme)

    def request_url(self, request: Any, proxies: Any) -> str:
        return current.get().target.path

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the shared context verifies, always."""

    def proxy_manager_for(self, proxy: Any, **proxy_kwargs: Any) -> Any:
        raise TransportError("refused", "callbacks are not sent through proxies")

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        # requests' own also parses Set-Cookie, for a jar that is never read.
        response = requests.Response()
        response.request, response.status_code = req, resp.status
        response.raw = resp
        return response


def _prepare(url: str, headers: Mapping[str, str], body: bytes) -> requests.PreparedRequest:
    # By hand: `prepare()` would rewrite the URL.
    request = requests.PreparedRequest()
    request.method, request.url, request.body = "POST", url, body
    request.headers = CaseInsensitiveDict({"User-Agent": USER_AGENT})
    request.headers.update({n: v for n, v in headers.items() if not is_transport_header(n)})
    request.headers.update({"Accept-Encoding": "identity", "Content-Length": str(len(body))})
    return request


def _read(raw: Any, exchange: Exchange) -> Response:
    if not 200 <= raw.status <= 599 or 300 <= raw.status <= 399:
        raw.close()
        reason = "redirect" if 300 <= raw.status <= 399 else "protocol"
        error = TransportError(reason, f"the answer has status {raw.status}")
        error.data["status"] = raw.status
        raise error
    started = time.monotonic()
    excerpt, cut = _read_body(raw)
    exchange.took("read", started)
    headers = {name.lower(): value for name, value in raw.headers.items()}
    phases = MappingProxyType(exchange.phases)
    return Response(raw.status, MappingProxyType(headers), excerpt, phases, cut)


def _read_body(raw: Any) -> tuple[bytes, str | None]:
    """Read to the end, so that the connection can be kept, or to the end of the budget."""
    excerpt = bytearray()
    try:
        while chunk := raw.read1(8192, decode_content=False):
            excerpt += chunk[: EXCERPT_BYTES - len(excerpt)]
    except TransportError as error:
        return bytes(excerpt), error.reason
    except _BROKEN:
        return bytes(excerpt), "protocol"
    return bytes(excerpt), None


def _for_operator(error: AddressRefused) -> str:
    return f"{error.message}; to allow it: {error.setting}" if error.setting else error.message
