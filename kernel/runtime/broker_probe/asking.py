"""Asks what stands at KERNEL_BROKER_URL, by the options that its clients have."""

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from kernel.config.brokers.urls import redis_urls
from kernel.config.checks import is_redis
from kernel.config.settings import Settings
from kernel.errors import ConfigurationError
from kernel.runtime.broker_probe.first_bytes import Refusal, expect_rabbitmq
from kernel.runtime.broker_probe.sentinels import ask_sentinels
from kernel.runtime.broker_probe.servers import Asked, ask_server

BROKER, RESULTS = "KERNEL_BROKER_URL", "KERNEL_RESULT_BACKEND"
PORTS = {"amqp": 5672, "amqps": 5671}


def ask(settings: Settings, queue: str | None = None) -> Iterator[str]:
    """Yield a warning for each server of the broker that does not answer now.

    Raises ConfigurationError when another kind of server answers, one that cannot carry hints, or
    one that refuses the user, the password, or Redis the use of ``queue``.
    """
    given = settings.broker_url.get_secret_value()
    if is_redis(given):
        yield from _ask_redis(given, Asked(BROKER, settings, queue))
        return
    for url in given.split(";"):
        if (said := _ask_rabbitmq(url)) is not None:
            yield said


def ask_results(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with the server of results, unless it is one of the broker's.

    Results are a copy for others, so nothing of it stops a start.
    """
    given = settings.result_backend.get_secret_value()
    if not given or _servers(given) <= _servers(settings.broker_url.get_secret_value()):
        return
    try:
        yield from _ask_redis(given, Asked(RESULTS, settings))
    except ConfigurationError as error:
        yield f"{error.message}; until then results are not copied for Celery's clients"


def _servers(given: str) -> set[tuple[object, ...]]:
    if not is_redis(given):
        return set()
    return {
        (url.addresses, url.is_tls, url.is_sentinel, url.user, url.password)
        for url in redis_urls(given)
    }


def _ask_redis(given: str, asked: Asked) -> Iterator[str]:
    for url in redis_urls(given):
        if url.is_sentinel:
            yield from ask_sentinels(url, asked)
        elif (said := ask_server(url, asked)) is not None:
            yield said


def _ask_rabbitmq(url: str) -> str | None:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    address = (parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme])
    try:
        expect_rabbitmq(address, ssl.create_default_context() if parts.scheme == "amqps" else None)
    except Refusal as refusal:
        raise ConfigurationError(f"{BROKER}: {place} {refusal}") from None
    except OSError as error:
        return f"the broker at {place} does not answer ({type(error).__name__})"
    return None
