"""What a Redis URL says: servers, user, database, TLS; or the Sentinels that know the server.

Messages quote no URL: it may hold a password.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

SENTINEL = ("sentinel", "sentinels")
TLS = ("rediss", "sentinels")
REDIS = ("redis", *TLS[:1], *SENTINEL)
# What may follow the ? of a URL that speaks TLS, and which values it may have (None: a path).
OPTIONS: dict[str, tuple[str, ...] | None] = {
    "ssl_cert_reqs": ("required", "optional", "none"),
    "ssl_check_hostname": ("true", "false"),
    "ssl_ca_certs": None,
    "ssl_certfile": None,
    "ssl_keyfile": None,
}
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::([0-9]{1,5}))?", re.ASCII)
_DATABASE = re.compile(r"/?|/[0-9]{1,5}", re.ASCII)

Address = tuple[str, int]


@dataclass(frozen=True)
class RedisUrl:
    """One Redis, or with ``is_sentinel`` the one whose place these Sentinels know."""

    addresses: tuple[Address, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: int
    is_tls: bool
    is_sentinel: bool
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The addresses without user and password, fit for a message."""
        return ",".join(map(shown, self.addresses))


def shown(address: Address) -> str:
    """Return ``host:port``."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def redis_urls(text: str) -> tuple[RedisUrl, ...]:
    """Return the servers of a setting, in the order in which they are tried; Sentinels are one.

    URLs have ``;`` between, and the Sentinels of one URL commas. Raises ValueError, in words.
    """
    urls = [_read(url) for url in text.split(";")]
    if not any(url.is_sentinel for url in urls):
        return tuple(urls)
    if not all(url.is_sentinel for url in urls):
        raise ValueError("name Sentinels or servers, not both")
    return (_together(urls),)


def _together(urls: list[RedisUrl]) -> RedisUrl:
    """Return the URLs of several Sentinels as one: what one of them says holds for all."""
    first = next((url for url in urls if url.password is not None), urls[0])
    told = [(url.user, url.password) for url in urls if (url.user, url.password) != (None, None)]
    rest = {(url.database, url.is_tls, *sorted(url.options.items())) for url in urls}
    if len(set(told)) > 1 or len(rest) > 1:
        raise ValueError(
            "the URLs of the Sentinels differ in more than host and port: user, password and "
            "database are those of the Redis that they know"
        )
    found = tuple(one for url in urls for one in url.addresses)
    return RedisUrl(
        found, first.user, first.password, first.database, first.is_tls, True, first.options
    )


def _read(url: str) -> RedisUrl:
    parts = urlsplit(url)
    is_sentinel, is_tls = parts.scheme in SENTINEL, parts.scheme in TLS
    login, _, hosts = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    addresses = tuple(_address(one, is_sentinel) for one in hosts.split(","))
    if len(addresses) > 1 and not is_sentinel:
        raise ValueError("several servers are written as URLs with ; between")
    if not _DATABASE.fullmatch(parts.path):
        raise ValueError("what follows the last / must be the number of a Redis database")
    return RedisUrl(
        addresses,
        unquote(user) or None,
        unquote(password) if colon else None,
        int(parts.path.strip("/") or 0),
        is_tls,
        is_sentinel,
        _options(parts.query, is_tls),
    )


def _address(text: str, is_sentinel: bool) -> Address:
    found = _PLACE.fullmatch(text)
    if found is None or int(found[2] or 0) > 65535:
        raise ValueError("a server is HOST or HOST:PORT")
    default = 26379 if is_sentinel else 6379
    return found[1].strip("[]") or "127.0.0.1", int(found[2] or default)


def _options(query: str, is_tls: bool) -> dict[str, str]:
    options = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            known = ", ".join(OPTIONS)
            raise ValueError(f"an option after the ? is unknown; there are {known}")
        if not is_tls:
            raise ValueError(f"{name} is for rediss:// and sentinels://, which speak TLS")
        told = value.lower().removeprefix("cert_") if OPTIONS[name] else value
        if not told or told not in (OPTIONS[name] or (told,)):
            meant = ", ".join(OPTIONS[name] or ("the path of a file",))
            raise ValueError(f"{name}: write {meant}")
        options[name] = told
    return options
