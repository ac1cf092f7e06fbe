"""From a URL's host to a connected socket: look up, vet, connect, compare; `kernel.transport` only.

Of the answers of one lookup **every** one must be allowed, and the connection goes to one of them
and to nothing else, through the proxy too: between the check and the connection no name of the
receiver is resolved again. The proxy's own address is the operator's word and not vetted.
"""

import time
from collections.abc import Sequence
from ipaddress import ip_address

from kernel.errors import AddressRefused, TransportError
from kernel.transport.addresses import check_address
from kernel.transport.connecting.connect import connect, in_turn
from kernel.transport.connecting.lookups import Lookups
from kernel.transport.connecting.proxy import MAX_TUNNELS, Proxy, open_tunnel
from kernel.transport.connecting.sockets import Exchange, PlainSocket
from kernel.transport.steps import Connected, Resolved


class Dialer:
    """Opens connections: looks up, vets every answer, connects to one of them, checks the peer.

    The timeouts are in seconds, and end earlier with the exchange's deadline. Through a proxy each
    connection to it has the time for connecting, and each of its answers again.
    """

    def __init__(
        self,
        lookups: Lookups,
        dns_timeout: float,
        connect_timeout: float,
        proxy: Proxy | None = None,
    ) -> None:
        self._lookups = lookups
        self._dns_timeout = dns_timeout
        self._connect_timeout = connect_timeout
        self._proxy = proxy

    def dial(self, exchange: Exchange) -> PlainSocket:
        """Return a connected socket; TransportError refused, dns, connect, proxy or no_room."""
        started = time.monotonic()
        addresses = self._vetted(exchange)
        if not exchange.target.literal:
            started = exchange.took("dns", started)
        if self._proxy is None:
            sock = self._connect(addresses, exchange.target.port, exchange)
        else:
            sock = self._through(self._proxy, addresses, exchange)
        exchange.took("connect", started)
        if exchange.observer is not None:
            took = exchange.phases["connect"]
            to = sock.leads_to, exchange.target.port, self._proxy is not None
            exchange.observer(Connected(*to, took))
        return sock

    def _vetted(self, exchange: Exchange) -> Sequence[str]:
        target = exchange.target
        if target.literal:
            return (target.host,)  # vetted when the URL was
        name = target.host if target.named else target.host + "."
        timeout = min(self._dns_timeout, exchange.remaining())
        addresses = self._lookups.resolve(name, timeout, exchange.caller)
        if exchange.observer is not None:
            exchange.observer(Resolved(target.host, tuple(addresses)))
        for address in addresses:
            try:
                check_address(address, exchange.policy, target.named)
            except AddressRefused as error:
                detail = f"{target.host} resolves to {address}: {error.message}; {error.setting}"
                raise TransportError("refused", detail) from None
        return addresses

    def _through(self, proxy: Proxy, addresses: Sequence[str], exchange: Exchange) -> PlainSocket:
        """Return a socket whose other end the proxy has connected to one of the addresses."""
        failures = []
        for address in in_turn(addresses)[:MAX_TUNNELS]:
            sock = self._to_proxy(proxy, exchange)
            try:
                open_tunnel(sock, proxy, address, self._connect_timeout)
            except TransportError as error:
                sock.close()
                if error.reason != "connect":
                    raise
                failures.append(error.detail)
            else:
                sock.leads_to = address
                return sock
        raise TransportError("connect", "; ".join(failures))

    def _to_proxy(self, proxy: Proxy, exchange: Exchange) -> PlainSocket:
        timeout = min(self._dns_timeout, exchange.remaining())
        try:
            addresses: Sequence[str] = (proxy.host,)
            if not proxy.literal:
                addresses = self._lookups.resolve(proxy.host, timeout, exchange.caller)
            return self._connect(addresses, proxy.port, exchange)
        except TransportError as error:
            if error.reason in ("no_room", "timeout"):
                raise
            raise TransportError("proxy", f"the proxy is not reached: {error.detail}") from None

    def _connect(self, addresses: Sequence[str], port: int, exchange: Exchange) -> PlainSocket:
        seconds = min(self._connect_timeout, exchange.remaining())
        address, sock = connect(addresses, port, exchange, seconds)
        try:
            peer = sock.getpeername()[0]
        except OSError as error:  # it was reset already
            sock.close()
            raise TransportError("connect", f"{address}: {error}") from None
        if ip_address(peer) != ip_address(address):
            sock.close()
            raise TransportError("refused", f"connected to {peer} instead of {address}")
        sock.leads_to = peer
        return sock
