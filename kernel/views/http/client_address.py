"""From which address a request comes: the peer's, or the one that a trusted proxy forwards."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from flask import request

from kernel.config.settings import Settings

FORWARDED = "X-Forwarded-For"
# A proxy has forwarded the request if it has a header that begins with any of these.
PROXIED = ("forwarded", "x-forwarded", "x-real-ip", "x-original", "via", "cf-", "true-client-ip")


def client_address(settings: Settings) -> str | None:
    """Return the address that the request comes from; None for a socket without addresses.

    Behind a proxy of KERNEL_TRUSTED_PROXIES: the last address of X-Forwarded-For that is no such
    proxy. What stands before it is the client's own word, and so is all of it from anywhere else.
    """
    return _followed(settings)[0]


def proven_address(settings: Settings) -> IPv4Address | IPv6Address | None:
    """Return the address for a key that is limited to networks; None where it is not known.

    The peer's address says nothing of the client when a proxy has forwarded the request that
    KERNEL_TRUSTED_PROXIES does not name: behind it everybody would come from the proxy's network.
    Nor does a trusted proxy's own, when it did not say in X-Forwarded-For for whom it asks.
    """
    found, is_told = _followed(settings)
    if is_proxied() and not is_told:
        return None
    return None if found is None else read_address(found)


def _followed(settings: Settings) -> tuple[str | None, bool]:
    """Return the client's address, and whether each trusted proxy on the way has told it."""
    peer, is_told = request.remote_addr or None, False
    hops = [one for given in request.headers.getlist(FORWARDED) for one in given.split(",")]
    while hops and _is_trusted(settings, peer):
        hop = hops.pop().strip()
        if read_address(hop) is None:
            return peer, False
        peer, is_told = hop, True
    return peer, is_told


def is_proxied() -> bool:
    """Tell whether the request has a header that proxies add."""
    return any(name.lower().startswith(PROXIED) for name, _ in request.headers)


def read_address(word: str) -> IPv4Address | IPv6Address | None:
    """Return the address that ``word`` is, IPv4 where IPv6 only wraps it; None for other words."""
    try:
        found = ip_address(word)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_trusted(settings: Settings, word: str | None) -> bool:
    if word is None:
        return bool(settings.trusted_proxies)  # a unix socket: a proxy on this host
    found = read_address(word)
    nets = map(ip_network, settings.trusted_proxies)
    return found is not None and any(found in net for net in nets)
