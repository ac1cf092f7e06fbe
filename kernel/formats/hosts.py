"""Hosts as people write them, in the one spelling that pauses, replays and filters go by.

An origin, `scheme://host:port`, is made of a callback's URL by `kernel.transport.addresses`. What
a person types is read here, into the end of such an origin or its host name alone.
"""

import re
from functools import lru_cache

from idna import IDNAError
from idna import encode as to_ascii

from kernel.errors import AddressRefused
from kernel.transport.addresses import DEFAULT_PORTS, origin_of

# How much of what was typed an error repeats.
REPEATED = 100
WORDS = "write a name, name:port or https://name:port"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r"(?P<name>\[[^\]]*\]|[^:\[]*):(?P<port>.*)", re.DOTALL)


def read_host(given: str) -> str:
    """Return ``name`` or ``name:port``: lower case, IDN as xn--, an IPv6 address in brackets.

    A URL without a path is read as its host and port, which is 80 or 443 where it names none.
    Raises ValueError, with what to write instead, for what is no host.
    """
    text = given.strip()
    match = _SCHEME.fullmatch(text)
    scheme, authority = (match[1].lower(), match[2]) if match else ("", text)
    if scheme and scheme not in DEFAULT_PORTS:
        raise _no_host(text, "a callback goes to http:// or https://")
    authority, _, path = authority.partition("/")
    if path or set(authority) & {"?", "#"}:
        raise _no_host(text, "it has a path or a query")
    name, port = _parts(authority)
    try:
        origin = origin_of(f"{scheme or 'http'}://{_spelled(name)}{port}")
    except AddressRefused as refused:
        raise _no_host(text, refused.message.removesuffix(" (IDN only as xn--)")) from None
    except IDNAError as error:
        raise _no_host(text, str(error)) from None
    found = origin.partition("://")[2]
    return found if port or scheme else found.rpartition(":")[0]


def hosts_of(origin: str) -> set[str]:
    """Return what `read_host` may have made of the host of an origin: its name, and name:port."""
    authority = origin.partition("://")[2]
    return {authority, authority.rpartition(":")[0]}


def url_beginnings(host: str) -> list[str]:
    """Return what a URL to ``host``, as `read_host` returns it, begins with, in lower case.

    Behind each stands the end of the URL, `/` or `?`; or `:`, if ``host`` is a name alone.
    """
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return [f"{scheme}://{host}" for scheme in DEFAULT_PORTS]
    default = [scheme for scheme, usual in DEFAULT_PORTS.items() if port == str(usual)]
    exact = [f"{scheme}://{host}" for scheme in DEFAULT_PORTS]
    return exact + [f"{scheme}://{name}" for scheme in default]


def _parts(authority: str) -> tuple[str, str]:
    """Return the name, and the port with its colon. An IPv6 address may stand without brackets."""
    if authority.count(":") > 1 and not authority.startswith("["):
        return f"[{authority}]", ""
    match = _PORT.fullmatch(authority)
    return (match["name"], ":" + match["port"]) if match else (authority, "")


@lru_cache(maxsize=1024)
def _spelled(name: str) -> str:
    """Return a name without the dot at its end, and in ASCII."""
    name = name.removesuffix(".")
    return name if name.isascii() else to_ascii(name, uts46=True).decode()


def _no_host(given: str, why: str) -> ValueError:
    shown = given if len(given) <= REPEATED else given[:REPEATED] + "…"
    return ValueError(f"{shown!r} is no host: {why}; {WORDS}")
