"""How a client of a Redis gets in: by options that all of them take from here.

Celery's transport, the result mirror, the counters of requests and the check at the start ask
this file, so what the check has tried is what the others do.
"""

import ssl
from typing import Any
from urllib.parse import quote, urlencode

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from kernel.config.brokers.urls import RedisUrl, shown
from kernel.config.keep_alive import KEEP_ALIVE
from kernel.config.settings import Settings

ALIVE = {"socket_keepalive": True, "socket_keepalive_options": KEEP_ALIVE}


def once() -> Retry:
    """Return the policy of a client that tries once; by default one retries for seconds."""
    return Retry(NoBackoff(), 0)


def budget(seconds: float) -> dict[str, Any]:
    """Return options of a client that waits this long for a connection, and for an answer."""
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}


def tls_options(url: RedisUrl, settings: Settings) -> dict[str, str]:
    """Return the ``ssl_...`` options of a URL that speaks TLS, none for another one.

    The certificate and its name are checked unless the URL says otherwise. What the URL says goes
    before KERNEL_BROKER_CA_FILE, KERNEL_BROKER_CERT_FILE and KERNEL_BROKER_KEY_FILE. Nothing is
    left to redis-py: version 5 checks no name by default, and fails where only the name is checked.
    """
    if not url.is_tls:
        return {}
    files = {
        "ssl_ca_certs": settings.broker_ca_file,
        "ssl_certfile": settings.broker_cert_file,
        "ssl_keyfile": settings.broker_key_file,
    }
    given = {name: str(file) for name, file in files.items() if file is not None}
    found = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true", **given, **url.options}
    if found["ssl_cert_reqs"] == "none":
        found["ssl_check_hostname"] = "false"
    return found


def tls_context(options: dict[str, str]) -> ssl.SSLContext:
    """Return the context that redis-py makes of such options. Raises OSError for a bad file."""
    context = ssl.create_default_context()
    context.check_hostname = options["ssl_check_hostname"] == "true"
    context.verify_mode = ssl.VerifyMode[f"CERT_{options['ssl_cert_reqs'].upper()}"]
    if "ssl_certfile" in options or "ssl_keyfile" in options:
        context.load_cert_chain(options.get("ssl_certfile", ""), options.get("ssl_keyfile"))
    if "ssl_ca_certs" in options:
        context.load_verify_locations(options["ssl_ca_certs"])
    return context


def redis_client(url: RedisUrl, settings: Settings, **options: Any) -> redis.Redis:
    """Return a client of the server, or of the one that is primary by what the Sentinels say.

    ``options``: what else a connection of redis-py takes, such as `budget`.
    """
    return redis.Redis.from_pool(redis_pool(url, settings, **options))


def redis_pool(url: RedisUrl, settings: Settings, **options: Any) -> ConnectionPool:
    """Return the connections of such a client, as those who make their own client take them."""
    tls = tls_options(url, settings)
    login = {"username": url.user, "password": url.password, "db": url.database}
    given = {**login, **_flagged(tls), **options}
    if url.is_sentinel:
        asked = sentinel_options(url, settings, **options)
        given["connection_class"] = (
            SentinelManagedSSLConnection if tls else SentinelManagedConnection
        )
        manager = Sentinel(url.addresses, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
        pool: ConnectionPool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
            settings.sentinel_master, manager, **given
        )
        return pool
    ((host, port),) = url.addresses
    given["connection_class"] = SSLConnection if tls else Connection
    return ConnectionPool(host=host, port=port, **given)


def sentinel_client(
    address: tuple[str, int], url: RedisUrl, settings: Settings, **options: Any
) -> redis.Redis:
    """Return a client of one Sentinel, with the options that every client has for it."""
    host, port = address
    return redis.Redis(host, port, **sentinel_options(url, settings, **options))


def sentinel_options(url: RedisUrl, settings: Settings, **options: Any) -> dict[str, Any]:
    """Return the options of a connection to a Sentinel, whose user and password are its own.

    It is asked once: another Sentinel is asked at once when it does not answer.
    """
    login = {"username": settings.sentinel_user or None, "retry": once()}
    if settings.sentinel_password.get_secret_value():
        login["password"] = settings.sentinel_password.get_secret_value()
    tls = tls_options(url, settings)
    return {**login, **ALIVE, **_flagged(tls), "ssl": bool(tls), **options}


def kombu_url(url: RedisUrl, settings: Settings) -> str:
    """Return the URL as kombu reads it, which has no other way to give each its own TLS."""
    login = "" if url.user is None else quote(url.user, safe="")
    if url.password is not None:
        login += f":{quote(url.password, safe='')}"
    tls = tls_options(url, settings)
    scheme = "sentinel" if url.is_sentinel else "rediss" if url.is_tls else "redis"
    options = f"?{urlencode(tls)}" if tls else ""
    start, end = f"{scheme}://{login}{'@' if login else ''}", f"/{url.database}{options}"
    return ";".join(f"{start}{shown(one)}{end}" for one in url.addresses)


def _flagged(tls: dict[str, str]) -> dict[str, Any]:
    """Return the options as redis-py takes them: the one that is a flag is no text."""
    return {**tls, "ssl_check_hostname": tls["ssl_check_hostname"] == "true"} if tls else {}
