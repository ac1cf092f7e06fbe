"""From a URL's host to a connected socket: look up, vet, connect, compare; `kernel.transport` only.

Of the answers of one lookup **every** one must be allowed, and the connection goes to one of them
and to nothing else: between the check and the connection no name is resolved again.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address

from kernel.errors import AddressRefused, TransportError
from kernel.transport.addresses import check_address
from kernel.transport.sockets import Exchange, PlainSocket

# Takes the name to look up, ready for the system's resolver, and returns addresses in the order to
# try them. The name ends with a dot, so that no search domain is tried, unless the policy names it.
Resolver = Callable[[str], Sequence[str]]

# How many addresses of a name are tried at the most: they share the connect time.
MAX_TRIES = 4


def system_resolver(name: str) -> list[str]:
    """Ask the system's resolver; socket.gaierror when it knows no address."""
    return [str(info[4][0]) for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]


class Lookups:
    """Runs a resolver, which cannot be interrupted, under a time limit.

    Each lookup runs in a thread of its own, one per name under way and ``limit`` at most; callers
    wait for its result, each as long as its own timeout. A stalled name costs one thread, until
    the system's resolver gives up, however many callbacks ask for it. While the machine gives no
    thread, the caller's own looks the name up, however long that takes.
    """

    def __init__(self, resolver: Resolver, limit: int) -> None:
        self._resolver = resolver
        self._slots = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[tuple[str, ...]]] = {}

    def resolve(self, name: str, timeout: float) -> tuple[str, ...]:
        """Return the addresses of ``name``; TransportError("dns") if there are none in time."""
        deadline = time.monotonic() + timeout
        try:
            found = self._join(name, timeout).result(deadline - time.monotonic())
        except TimeoutError:
            raise TransportError("dns", f"{name} did not resolve within {timeout:.1f} s") from None
        except (OSError, RuntimeError, ValueError) as error:
            raise TransportError("dns", f"{name}: {error}") from None
        if not found:
            raise TransportError("dns", f"{name} has no address")
        return found

    def _join(self, name: str, timeout: float) -> "Future[tuple[str, ...]]":
        with self._lock:
            if name in self._under_way:
                return self._under_way[name]
        if not self._slots.acquire(timeout=timeout):
            raise TimeoutError
        future: Future[tuple[str, ...]] = Future()
        with self._lock:
            self._under_way[name] = future
        given = (name, future)
        try:
            threading.Thread(target=self._run, args=given, name="lookup", daemon=True).start()
        except Exception:  # noqa: BLE001 - no thread to be had: this one asks, others wait for it
            self._run(name, future)
        return future

    def _run(self, name: str, future: "Future[tuple[str, ...]]") -> None:
        try:
            future.set_result(tuple(self._resolver(name)))
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            future.set_exception(error)
        finally:
            with self._lock:
                self._under_way.pop(name, None)
            self._slots.release()


class Dialer:
    """Opens connections: looks up, vets every answer, connects to one of them, checks the peer.

    The timeouts are in seconds, and end earlier with the exchange's deadline.
    """

    def __init__(self, lookups: Lookups, dns_timeout: float, connect_timeout: float) -> None:
        self._lookups = lookups
        self._dns_timeout = dns_timeout
        self._connect_timeout = connect_timeout

    def dial(self, exchange: Exchange) -> PlainSocket:
        """Return a connected socket; TransportError refused, dns or connect."""
        started = time.monotonic()
        addresses = self._vetted(exchange)
        if not exchange.target.literal:
            started = exchange.took("dns", started)
        sock = self._connect(addresses[:MAX_TRIES], exchange)
        exchange.took("connect", started)
        return sock

    def _vetted(self, exchange: Exchange) -> Sequence[str]:
        target = exchange.target
        if target.literal:
            return (target.host,)  # vetted when the URL was
        name = target.host if target.named else target.host + "."
        timeout = min(self._dns_timeout, exchange.remaining())
        addresses = self._lookups.resolve(name, timeout)
        for address in addresses:
            try:
                check_address(address, exchange.policy, target.named)
            except AddressRefused as error:
                detail = f"{target.host} resolves to {address}: {error.message}; {error.setting}"
                raise TransportError("refused", detail) from None
        return addresses

    def _connect(self, addresses: Sequence[str], exchange: Exchange) -> PlainSocket:
        end = time.monotonic() + min(self._connect_timeout, exchange.remaining())
        failures = []
        for index, address in enumerate(addresses):
            # What is left is shared, so that one silent address does not use up all of it.
            share = (end - time.monotonic()) / (len(addresses) - index)
            try:
                return _open(address, exchange, max(share, 0.001))
            except OSError as error:
                failures.append(f"{address}: {error}")
        raise TransportError("connect", "; ".join(failures))


def _open(address: str, exchange: Exchange, timeout: float) -> PlainSocket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = PlainSocket(family, socket.SOCK_STREAM)
    try:
        sock.exchange = exchange
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        sock.connect((address, exchange.target.port))
        peer = sock.getpeername()[0]
        if ip_address(peer) != ip_address(address):
            raise TransportError("refused", f"connected to {peer} instead of {address}")
    except BaseException:
        sock.close()
        raise
    return sock
