"""Who sends a request: the caller behind its key, or this host without one."""

from functools import partial

from flask import Request, request

from kernel.callers.identity import (
    Identity,
    Network,
    Scope,
    identify,
    identify_key,
    identity_of,
    require_from,
)
from kernel.callers.people.roles import Role
from kernel.errors import Unauthenticated
from kernel.runtime.kernel import Kernel
from kernel.views.http.client_address import client_address, is_proxied, proven_address
from kernel.views.http.gate import gate
from kernel.views.http.hosts import is_loopback, name_of
from kernel.views.http.origin import refuse_kept_credentials


def identity(kernel: Kernel, needed: Scope | Role) -> Identity:
    """Return who asks. Raises Unauthenticated, TooManyRequests, or Forbidden without ``needed``.

    Bearer, or Basic with the key as password (ticketing systems offer one or the other), which is
    refused for a change that another site's page asks a browser for (Forbidden). Without
    credentials: the anonymous caller when KERNEL_AUTH=off and the request comes straight from
    this host.
    """
    key = _key(kernel)
    who = anonymous(kernel) if key is None else _known(kernel, key)
    stands_where_it_may(kernel, who.networks, key)
    if (found := gate()) is not None:
        found.count(who)
    who.require(needed)
    return who


def orderer(kernel: Kernel) -> Identity:
    """Return who orders, as `identity` does, or as it did for the same key within a second.

    For `accept` alone, which asks for the key again before it stores an order.
    """
    found = gate()
    if found is None:
        who = identity(kernel, Scope.WRITE)
    else:
        key = _key(kernel)
        ask = partial(anonymous, kernel) if key is None else partial(_known, kernel, key)
        who = found.remembered(key or "", ask)
        stands_where_it_may(kernel, who.networks, key)
        found.count(who)
    who.require_submitting()
    return who


def _key(kernel: Kernel) -> str | None:
    """Return the key of the request; None where none is needed. Raises Unauthenticated."""
    key = _credentials(request)
    if key is None and not (kernel.settings.auth == "off" and is_local(request)):
        raise Unauthenticated
    return key


def stands_where_it_may(
    kernel: Kernel, networks: tuple[Network, ...] | None, key: str | None = None
) -> None:
    """Raise Unauthenticated for a key that does not work where the request comes from.

    It is counted among the refused keys, as what a thief of a key would leave behind; ``key`` is
    None for a session, of which no key is known.
    """
    if networks is None:
        return
    try:
        require_from(networks, proven_address(kernel.settings))
    except Unauthenticated:
        address = client_address(kernel.settings)
        kernel.refusals.note(key or "", address, kernel.clock.now())
        raise


def recheck(kernel: Kernel, who: Identity) -> None:
    """Raise Unauthenticated when the key behind ``who`` was revoked, or expired, meanwhile."""
    if who.key_id is not None:
        with kernel.read() as connection:
            identify_key(connection, who.key_id, kernel.clock.now())


def _known(kernel: Kernel, key: str) -> Identity:
    now = kernel.clock.now()
    try:
        with kernel.read() as connection:
            who = identify(connection, key, now)
    except Unauthenticated:
        kernel.refusals.note(key, client_address(kernel.settings), now)
        raise
    kernel.key_uses.note(who.key_id, now)
    return who


def anonymous(kernel: Kernel) -> Identity:
    """Return the caller that needs no credentials."""
    with kernel.read_session() as session:
        return identity_of(session)


def _credentials(asked: Request) -> str | None:
    if "Authorization" not in asked.headers:
        return None
    try:
        authorization = asked.authorization
    except ValueError:  # werkzeug's, for Basic with characters that are no ASCII
        raise Unauthenticated from None
    if authorization is None:
        raise Unauthenticated
    if authorization.type == "bearer" and authorization.token:
        return authorization.token
    if authorization.type == "basic" and authorization.password:
        refuse_kept_credentials()
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
    return (
        not is_proxied()
        and is_loopback(asked.remote_addr or "")
        and is_loopback(name_of(asked.host))
    )
