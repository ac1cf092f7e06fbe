"""What single settings may hold: their types, and the checks behind them.

A message never quotes a URL, nor an error that might: a URL can hold a password.
"""

import base64
import binascii
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kernel.config.brokers.urls import REDIS, redis_urls
from kernel.config.near import check_network

DATABASES = (
    *("sqlite", "sqlite+pysqlite", "mysql+pymysql", "mariadb+pymysql"),
    "postgresql+psycopg",
)
RABBITMQ = ("amqp", "amqps")
# Host or [IPv6], and port; several, as drivers take them; none for a file or a socket.
_HOSTS = re.compile(r"[A-Za-z0-9._%:,\[\]-]*(\?.*)?", re.ASCII)
BARE_AT = (
    "this URL has more than one @, or a special character before it: in a password write @ as %40, "
    "/ as %2F, ? as %3F, # as %23, : as %3A"
)
KEY_FORM = (
    "a key is 32 bytes in URL-safe base64, 44 characters; several have commas between: make one "
    "with `kernel secrets new-key`"
)
NOT_A_URL = "this is not a URL; special characters in a password are written as %40, %3A, %2F, ..."


def split(value: Any) -> Any:
    """Split a list that the environment writes as ``a, b``; TOML has lists of its own."""
    if isinstance(value, str):
        return [part for part in re.split(r"[\s,]+", value) if part]
    return value


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        check_network(value)
    return values


def _database(value: SecretStr) -> SecretStr:
    refuse_bare_at(value.get_secret_value())
    _refuse_control(value.get_secret_value())
    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError(NOT_A_URL) from None
    if url.drivername not in DATABASES:
        raise ValueError(
            f"{url.drivername}:// is not supported; write sqlite:///path/to/file, "
            "mysql+pymysql://user:password@host/name (for MariaDB and MySQL) or "
            "postgresql+psycopg://user:password@host/name"
        )
    if not url.database or url.database == ":memory:":
        raise ValueError("name a database: one in memory is not shared between processes")
    return value


def _brokers(value: SecretStr) -> SecretStr:
    urls = value.get_secret_value().split(";")
    for url in urls:
        refuse_bare_at(url)
        _check_scheme(url, (*REDIS, *RABBITMQ))
        if not is_redis(url):
            _refuse_control(url)
    if any(is_redis(url) for url in urls):
        if not all(is_redis(url) for url in urls):
            raise ValueError("name servers of Redis or of RabbitMQ, not both")
        redis_urls(value.get_secret_value())
    return value


def _results(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text:
        refuse_bare_at(text)
        _check_scheme(text, REDIS)
        if len(redis_urls(text)) > 1:
            raise ValueError("results go to one Redis, or to the one that Sentinels know")
    return value


def _proxy(value: SecretStr) -> SecretStr:
    if value.get_secret_value():
        refuse_bare_at(value.get_secret_value())
        _refuse_control(value.get_secret_value())
    return value


def is_redis(urls: str) -> bool:
    """Tell whether a URL, or the first of several, is of a Redis or of its Sentinels."""
    return urlsplit(urls).scheme in REDIS


def refuse_bare_at(url: str) -> None:
    """Raise ValueError for a URL whose password may reach beyond its first ``@``.

    Parsers disagree where such a password ends, and show its rest as a host, a path or an option.
    """
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):  # a file's name, and no password
        return
    authority, _, rest = rest.partition("/")
    user, _, host = authority.rpartition("@")
    if any(one in user for one in "@?#[]") or "@" in rest or not _HOSTS.fullmatch(host):
        raise ValueError(BARE_AT)


def _refuse_control(url: str) -> None:
    """Raise ValueError for what no person means: it would be part of a name, and seen nowhere."""
    if not url.isprintable():
        raise ValueError("this has a line end, a tab or another control character in it")


def _check_scheme(url: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        if parts.scheme not in REDIS:  # those have a parser of their own
            parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError(NOT_A_URL) from None
    if "://" not in url or not parts.scheme:
        raise ValueError("this is not a URL: write it as redis://HOST:6379/1")
    if parts.scheme not in schemes:
        raise ValueError(f"{parts.scheme}:// is not supported; use {', '.join(schemes)}")


def check_keys(value: SecretStr) -> SecretStr:
    """Return keys with commas or white space between. Raises ValueError for others, in words."""
    for key in split(value.get_secret_value()):
        try:
            decoded = base64.b64decode(key, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            decoded = b""
        if len(decoded) != 32:
            raise ValueError(KEY_FORM)
    return value


def database_file(url: SecretStr) -> Path | None:
    """Return the file of a database that is one; None for a server."""
    found = make_url(url.get_secret_value())
    is_file = found.drivername.startswith("sqlite") and found.database is not None
    return Path(str(found.database)) if is_file else None


def _port(value: str) -> str:
    if int(value.rpartition(":")[2]) > 65535:
        raise ValueError("a port is at most 65535")
    return value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split), AfterValidator(_networks)]
HostName = Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])$", max_length=253)]
HostNames = Annotated[tuple[HostName, ...], NoDecode, BeforeValidator(split)]
# MariaDB accepts at most a year for its own timeouts; a century keeps dates within their range.
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Pauses = Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(split), Field(min_length=1)]
Days = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database)]
BrokerUrl = Annotated[SecretStr, AfterValidator(_brokers)]
SecretKeys = Annotated[SecretStr, AfterValidator(check_keys)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]
ResultUrl = Annotated[SecretStr, AfterValidator(_results)]
# Requests per key; empty is off.
RateLimit = Annotated[str, Field(pattern=r"^([1-9][0-9]{0,8}/(second|minute|hour|day))?$")]
# No user, query or fragment: kernel appends paths to it.
PublicUrl = Annotated[
    str, Field(pattern=r"^(https?://[^\s/?#@\\]+(/[^\s?#\\]*)?)?$", max_length=500)
]
Address = Annotated[
    str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:/\s]+):\d{1,5}$"), AfterValidator(_port)
]
