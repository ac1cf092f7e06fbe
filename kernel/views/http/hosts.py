"""By which names this service is known: the Host of a request may become part of a link.

With KERNEL_PUBLIC_URL no answer depends on Host, and any is served. Without it links begin with the
Host that the client sent, so it must be one of: a loopback address, ``localhost``, the host of
KERNEL_BIND, a name in KERNEL_HOSTS, or one that an application around us trusts (TRUSTED_HOSTS).
"""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

from flask import Blueprint, Flask, Response, request
from werkzeug.routing import RequestRedirect

from kernel.config.settings import Settings
from kernel.errors import Misdirected

# RFC 9110 §7.2: a name, an IPv4 address or an IPv6 one in brackets, and perhaps a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?", re.ASCII | re.I)


class KnownHosts:
    """The names of one installation. The port of a request does not matter."""

    def __init__(self, settings: Settings) -> None:
        bound = settings.bind.rpartition(":")[0].strip("[]")
        self._any = bool(settings.public_url)
        self._names = frozenset(one.strip("[]").lower() for one in (bound, *settings.hosts))

    def stand_before(self, part: Blueprint) -> None:
        """Refuse each request of ``part`` that asks for a host that is not known: 421."""
        part.before_request(self._check)

    def knows(self, host: str) -> bool:
        """Tell whether ``host`` or ``host:port``, as a client wrote it, leads to us."""
        name = name_of(host)
        return is_loopback(name) or name in self._names

    def _check(self) -> None:
        if not (self._any or request.trusted_hosts or self.knows(request.host)):
            raise Misdirected


@lru_cache(256)
def name_of(host: str) -> str:
    """Return the name in ``host:port`` in lower case, ``localhost`` as its address.

    Empty for what is no host: ``localhost:80@evil.example`` in a link would lead elsewhere.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return ""
    name = (found[1] or found[2]).lower().removesuffix(".")
    return "127.0.0.1" if name == "localhost" else name


@lru_cache(256)
def is_loopback(address: str) -> bool:
    """Tell whether an address leads to this host alone."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a unix socket has no address; a name is none
        return False


def name_no_host(app: Flask) -> None:
    """Have ``app`` redirect by path alone: routing writes the Host that a client sent into it."""

    def shorten(response: Response) -> Response:
        is_redirect = response.status_code == RequestRedirect.code
        redirected = request.routing_exception if is_redirect else None
        if isinstance(redirected, RequestRedirect):
            parts = urlsplit(redirected.new_url)
            response.headers["Location"] = urlunsplit(("", "", parts.path, parts.query, ""))
        return response

    app.after_request(shorten)
