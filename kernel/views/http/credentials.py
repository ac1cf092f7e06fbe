"""Who sends a request: the caller behind its key, or this host without one."""

import ipaddress
from functools import partial

from flask import Request, request

from kernel.callers.identity import Identity, Scope, identify, identify_key, identity_of
from kernel.errors import Unauthenticated
from kernel.runtime.kernel import Kernel
from kernel.views.http.gate import gate

# A proxy has forwarded the request if it has a header that begins with any of these.
PROXIED = ("forwarded", "x-forwarded", "x-real-ip", "x-original", "via", "cf-", "true-client-ip")


def identity(kernel: Kernel, scope: Scope) -> Identity:
    """Return who asks. Raises Unauthenticated, TooManyRequests, or Forbidden without ``scope``.

    Bearer, or Basic with the key as password (ticketing systems offer one or the other). Without
    credentials: the anonymous caller when KERNEL_AUTH=off and the request comes straight from
    this host.
    """
    key = _credentials(request)
    if key is None and not (kernel.settings.auth == "off" and is_local(request)):
        raise Unauthenticated
    who = anonymous(kernel) if key is None else _known(kernel, key)
    if (found := gate()) is not None:
        found.count(who)
    who.require(scope)
    return who


def orderer(kernel: Kernel) -> Identity:
    """Return who orders, as `identity` does, or as it did for the same key within a second.

    For `accept` alone, which asks for the key again before it stores an order.
    """
    key = _credentials(request)
    found = gate()
    if key is None or found is None:
        return identity(kernel, Scope.WRITE)
    who = found.remembered(key, partial(_known, kernel, key))
    found.count(who)
    who.require(Scope.WRITE)
    return who


def recheck(kernel: Kernel, who: Identity) -> None:
    """Raise Unauthenticated when the key behind ``who`` was revoked, or expired, meanwhile."""
    if who.key_id is not None:
        with kernel.read() as connection:
            identify_key(connection, who.key_id, kernel.clock.now())


def _known(kernel: Kernel, key: str) -> Identity:
    now = kernel.clock.now()
    with kernel.read() as connection:
        who = identify(connection, key, now)
    kernel.key_uses.note(who.key_id, now)
    return who


def anonymous(kernel: Kernel) -> Identity:
    """Return the caller that needs no credentials."""
    with kernel.read_session() as session:
        return identity_of(session)


def _credentials(asked: Request) -> str | None:
    if "Authorization" not in asked.headers:
        return None
    authorization = asked.authorization
    if authorization is None:
        raise Unauthenticated
    if authorization.type == "bearer" and authorization.token:
        return authorization.token
    if authorization.type == "basic" and authorization.password:
        return str(authorization.password)
    raise Unauthenticated


def is_local(asked: Request) -> bool:
    """Tell whether a program on this host asks, and no web page in a browser on it.

    A page anywhere can make its visitor's browser POST to 127.0.0.1: then Origin says whose it is.
    """
    origin = asked.headers.get("Origin", f"http://{asked.host}")
    return origin.partition("://")[2] == asked.host and is_direct(asked)


def is_direct(asked: Request) -> bool:
    """Tell whether this host asks for this host, and no proxy for others.

    A page anywhere can give its visitor's browser a name of its own that leads to 127.0.0.1: then
    Host says so.
    """
    if any(name.lower().startswith(PROXIED) for name, _ in asked.headers):
        return False
    return is_loopback(asked.remote_addr or "") and is_loopback(name_of(asked.host))


def name_of(host: str) -> str:
    """Return the host of ``host:port``, the usual name of this one as its address."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return "127.0.0.1" if name == "localhost" else name


def is_loopback(address: str) -> bool:
    """Tell whether an address leads to this host alone."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a unix socket has no address; a name is none
        return False
