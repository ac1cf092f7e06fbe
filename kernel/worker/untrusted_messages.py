"""What a worker takes from the broker: our own hints, and nothing that looks a little like them.

Whoever reaches the broker can put anything into the queue. Celery's consumer ends at what is no
message at all, and obeys what a message says about time limits and due times: here the first is
dropped and the second ignored. A hint is ids; `kernel.worker.celery_app` believes their rows.
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

# All that is taken from a message's headers: no eta, no expiry, no time limit, no group.
KEPT = ("lang", "task", "id")


class Channel(redis.Channel):
    """A channel that survives bytes in its queue that are not JSON."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except (ValueError, RecursionError) as error:
            log.warning("dropped what is no message: %s", type(error).__name__)
            raise Empty from None


class Transport(redis.Transport):
    """kombu's Redis, without the messages that its consumer would end at."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        if is_message(message):
            super()._deliver(message, queue)  # type: ignore[no-untyped-call]
        else:
            log.warning("dropped what is no message: %s", type(message).__name__)


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
    """A connection that speaks to a Redis by the transport above, and to others as usual."""

    def get_transport_cls(self) -> Any:
        """Return the class of the transport."""
        usual = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return Transport if usual is redis.Transport else usual


class HintAmqp(AMQP):  # type: ignore[misc]
    """Where Celery takes its connections from."""

    Connection = HintConnection


def strategy(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Celery's way from a message to a run, for messages of which only the id is believed."""
    handle = default(task, app, consumer, **options)

    def handle_hint(message: Any, *more: Any, **options: Any) -> Any:
        message.headers = {name: message.headers[name] for name in KEPT if name in message.headers}
        try:
            return handle(message, *more, **options)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidTaskError(f"not a hint: {type(error).__name__}") from None

    return handle_hint
