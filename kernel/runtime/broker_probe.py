"""Who answers at a broker's address? Asked once, at the start, before anything is trusted to it.

A client library would try again and again whatever it hears, be it a web server or a database.
The first bytes of an answer tell; what does not answer may only be late.
"""

import socket
import ssl
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from kernel.config.celeryconfig import redis_ssl
from kernel.config.settings import REDIS
from kernel.errors import ConfigurationError

ANSWER_SECONDS = 1.0
PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


def ask(url: str) -> str | None:
    """Return a warning when nobody answers at ``url``, None when all is well.

    Raises ConfigurationError when something else answers there, or refuses the password.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme in REDIS:  # a simple string, or an error: maybe one has to log in
            _expect(parts, b"PING\r\n\r\n", (b"+", b"-"), "Redis")
            _log_in(url, parts)
        else:  # a method frame of channel 0
            _expect(parts, b"AMQP\x00\x00\x09\x01", (b"\x01\x00\x00",), "RabbitMQ")
    except ssl.SSLError as error:
        _refuse(parts, f"does not speak TLS with us ({error.reason or error})")
    except (OSError, redis.ConnectionError, redis.TimeoutError) as error:
        return f"the broker at {_place(parts)} does not answer ({type(error).__name__})"
    return None


def _expect(parts: SplitResult, hello: bytes, good: tuple[bytes, ...], kind: str) -> None:
    """Say ``hello``; refuse an answer that begins otherwise."""
    address = (parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme])
    with socket.create_connection(address, ANSWER_SECONDS) as plain:
        connection = plain
        if parts.scheme in ("rediss", "amqps"):
            connection = ssl.create_default_context().wrap_socket(
                plain, server_hostname=parts.hostname
            )
        with connection:
            answer = _answer(connection, hello)
    if not answer:
        raise ConnectionError("closed without an answer")
    if not answer.startswith(good):
        _refuse(parts, f"answers, but is no {kind}")


def _answer(connection: socket.socket, hello: bytes) -> bytes:
    """Say ``hello`` and return how the answer begins; ends the line for whoever waits for that."""
    connection.sendall(hello)
    try:
        return connection.recv(64)
    except TimeoutError:
        connection.sendall(b"\r\n\r\n")
        return connection.recv(64)


def _log_in(url: str, parts: SplitResult) -> None:
    """Refuse a password that the server refuses."""
    options = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    retry = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(url, retry=retry, **options, **redis_ssl(url)) as client:
        try:
            client.ping()
        except redis.BusyLoadingError:  # the right one, and ready soon
            return
        except redis.AuthenticationError:
            _refuse(parts, "refuses the user or the password")
        except redis.ResponseError as error:  # no such database, or no right to use it
            _refuse(parts, f"refuses us: {error}")


def _place(parts: SplitResult) -> str:
    """Return ``host:port``, without what is secret in the URL."""
    return parts.netloc.rpartition("@")[2]


def _refuse(parts: SplitResult, what: str) -> NoReturn:
    place = _place(parts)
    raise ConfigurationError(f"KERNEL_BROKER_URL: {place} {what}; correct the URL") from None
