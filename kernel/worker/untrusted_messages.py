"""What a worker accepts from the broker: hints of ours, and no message that only resembles one.

Every client of the broker can put anything into the queue. Celery's consumer ends at bytes that are
no message, and obeys time limits and due times that a message names: here the first are dropped and
the second ignored. A hint is ids; `kernel.worker.celery_app` believes their rows.
"""

import logging
from collections.abc import Callable
from typing import Any

from celery.app.amqp import AMQP
from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default
from kombu.connection import Connection
from kombu.transport import redis
from kombu.transport.virtual import Empty

log = logging.getLogger(__name__)

# The headers of a message that are kept: no eta, no expiry, no time limit, no group.
KEPT = ("lang", "task", "id")


class SurvivingChannel:
    """What a channel does with bytes in its queue that are not JSON: it goes on."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (ValueError, RecursionError) as error:
            log.warning("dropped what is no message: %s", type(error).__name__)
            raise Empty from None


class SiftingTransport:
    """What a transport does with a message that would end its consumer: it drops it."""

    def _deliver(self, message: Any, queue: str) -> None:
        if is_message(message):
            super()._deliver(message, queue)  # type: ignore[misc]
        else:
            log.warning("dropped what is no message: %s", type(message).__name__)


class Channel(SurvivingChannel, redis.Channel):
    """A channel to one Redis, with TLS or without."""


class Transport(SiftingTransport, redis.Transport):
    """kombu's transport for redis:// and rediss://, hardened."""

    Channel = Channel


class SentinelChannel(SurvivingChannel, redis.SentinelChannel):
    """A channel to the Redis that Sentinels name."""


class SentinelTransport(SiftingTransport, redis.SentinelTransport):
    """kombu's transport for sentinel://, hardened."""

    Channel = SentinelChannel


HARDENED = {redis.Transport: Transport, redis.SentinelTransport: SentinelTransport}


def is_message(found: Any) -> bool:
    """Tell whether this has the shape of a message that Celery has sent."""
    if not isinstance(found, dict):
        return False
    properties, headers = found.get("properties"), found.get("headers")
    if not isinstance(properties, dict) or not isinstance(headers, dict):
        return False
    texts = (
        *(found.get("body"), found.get("content-type"), found.get("content-encoding")),
        *(headers.get("task"), headers.get("id")),
        *(properties.get("delivery_tag"), properties.get("body_encoding")),
    )
    place = properties.get("delivery_info")
    return all(isinstance(one, str) for one in texts) and isinstance(place, dict)


class HintConnection(Connection):
    """A connection that uses the transports above for Redis, and kombu's own for other brokers.

    A broker that is back is found within two seconds; by kombu's own pauses, that grow to thirty,
    the orders of a short outage waited for ten and more.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """Connect, however often it takes; arguments as kombu's, pauses in seconds."""
        pauses = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2}
        return super().ensure_connection(*args, **(pauses | options))  # type: ignore[no-untyped-call]

    def get_transport_cls(self) -> Any:
        """Return the class of the transport."""
        usual = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return HARDENED.get(usual, usual)


class HintAmqp(AMQP):  # type: ignore[misc]
    """The part of a Celery app that opens connections."""

    Connection = HintConnection


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Wrap Celery's default strategy: of a message's headers only `KEPT` are believed."""
    handle = default(task, app, consumer, **options)

    def handle_hint(message: Any, *more: Any, **options: Any) -> Any:
        message.headers = {name: message.headers[name] for name in KEPT if name in message.headers}
        try:
            return handle(message, *more, **options)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidTaskError(f"not a hint: {type(error).__name__}") from None

    return handle_hint
