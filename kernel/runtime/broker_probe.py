"""Checks at the start of a process which kind of server answers at the broker's address.

A client library would retry for ever, even against a web server or a database. The first bytes of
the answer tell the kind. A server that does not answer may be late, so that is only a warning.
"""

import socket
import ssl
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from kernel.config.celeryconfig import redis_ssl
from kernel.config.checks import REDIS
from kernel.errors import ConfigurationError

ANSWER_SECONDS = 1.0
PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


def ask(url: str, queue: str | None = None) -> str | None:
    """Return a warning when no server answers at ``url``, None when the broker does.

    Raises ConfigurationError when another kind of server answers, or the broker refuses the
    password, or Redis the use of ``queue``.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme in REDIS:  # a simple string, or an error, such as a required login
            _expect(parts, b"PING\r\n\r\n", (b"+", b"-"), "Redis")
            _log_in(url, parts, queue)
        else:  # a method frame of channel 0
            _expect(parts, b"AMQP\x00\x00\x09\x01", (b"\x01\x00\x00",), "RabbitMQ")
    except ssl.SSLError as error:
        _refuse(parts, f"does not speak TLS with us ({error.reason or error})")
    except (OSError, redis.ConnectionError, redis.TimeoutError) as error:
        return f"the broker at {_place(parts)} does not answer ({type(error).__name__})"
    return None


def _expect(parts: SplitResult, hello: bytes, good: tuple[bytes, ...], kind: str) -> None:
    """Send ``hello``. Raises ConfigurationError unless the answer begins like one of ``good``."""
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
    """Send ``hello`` and return the answer's first bytes.

    A server that has not answered after a second gets an empty line, for which a web server
    waits.
    """
    connection.sendall(hello)
    try:
        return connection.recv(64)
    except TimeoutError:
        connection.sendall(b"\r\n\r\n")
        return connection.recv(64)


def _log_in(url: str, parts: SplitResult, queue: str | None) -> None:
    """Log in, and look at the queue. Raises ConfigurationError when the server refuses that."""
    options = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    retry = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(url, retry=retry, **options, **redis_ssl(url)) as client:
        try:
            client.ping()
            if queue is not None:
                client.llen(queue)
        except redis.BusyLoadingError:  # a Redis that loads its data: the right server
            return
        except redis.AuthenticationError:
            _refuse(parts, "refuses the user or the password")
        except NoPermissionError as error:
            if queue is None:
                _refuse(parts, f"refuses us: {error}")
            raise ConfigurationError(
                f"KERNEL_BROKER_URL: {_place(parts)} refuses its user the queue {queue} ({error}); "
                "give it the rights that deploy/redis.conf does, with the keys ~orders.*"
            ) from None
        except redis.ResponseError as error:  # no such database, or no permission to use it
            _refuse(parts, f"refuses us: {error}")


def _place(parts: SplitResult) -> str:
    """Return ``host:port``, without the URL's user and password."""
    return parts.netloc.rpartition("@")[2]


def _refuse(parts: SplitResult, what: str) -> NoReturn:
    place = _place(parts)
    raise ConfigurationError(f"KERNEL_BROKER_URL: {place} {what}; correct the URL") from None
