"""What hands one request to urllib3: requests' adapter, without what sessions add to it.

There is no requests *session* on purpose: sessions are what follows redirects, keeps cookies and
reads proxies and ``.netrc`` from the environment. The adapter below one does none of that.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from kernel.errors import TransportError
from kernel.transport.connecting.sockets import current
from kernel.transport.connecting.tls import TlsContext
from kernel.transport.connections import PlainPool, TlsPool
from kernel.transport.headers import USER_AGENT, is_transport_header
from kernel.transport.kept import KeptConnections

# Origins for which urllib3 keeps an object; the connections are in `KeptConnections`.
KNOWN_ORIGINS = 64


class Adapter(HTTPAdapter):
    """requests' adapter over guarded pools: no environment, no proxies, no cookies."""

    def __init__(self, context: TlsContext, kept: KeptConnections) -> None:
        self._context, self._kept = context, kept
        super().__init__(KNOWN_ORIGINS, 1)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        pool_kwargs["ssl_context"] = self._context
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": partial(PlainPool, self._kept),
            "https": partial(TlsPool, self._kept),
        }

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        # From the target, not from the URL: nothing parses it a second time, differently.
        exchange = current.get()
        target, context = exchange.target, exchange.context
        own = None if context is None else {"ssl_context": context}
        return self.poolmanager.connection_from_host(target.host, target.port, target.scheme, own)

    def request_url(self, request: Any, proxies: Any) -> str:
        return current.get().target.path

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context verifies, always."""

    def proxy_manager_for(self, proxy: Any, **proxy_kwargs: Any) -> Any:
        raise TransportError("refused", "callbacks are not sent through proxies")

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        # requests' own also parses Set-Cookie, for a jar that is never read.
        response = requests.Response()
        response.request, response.status_code = req, resp.status
        response.raw = resp
        return response


def prepare(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> requests.PreparedRequest:
    """Return what the adapter sends: these headers without the transport's own, which it adds.

    Of names that differ in case alone the last one counts. ``body``: None for a request that has
    none, and no length either.
    """
    sent = {name: value for name, value in headers.items() if not is_transport_header(name)}
    last = {name.lower(): name for name in sent}
    if len(last) < len(sent):
        sent = {name: sent[name] for name in last.values()}
    if "user-agent" not in last:
        sent["User-Agent"] = USER_AGENT
    sent["Accept-Encoding"] = "identity"
    if body is not None:
        sent["Content-Length"] = str(len(body))
    # By hand: requests' own `prepare()` would rewrite the URL. A dict is enough for the adapter;
    # with requests' own kind of it a whole request takes a tenth more calls.
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = sent  # type: ignore[assignment]
    return request
