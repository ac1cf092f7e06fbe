"""What a worker accepts from the broker: orders' ids, and nothing else of a message.

Every client of the broker can put anything into the queue. Celery and kombu obey a message: the
task it names, its time limits and due times, its codec, its compression. What they and the drivers
cannot read ends the consumer. So each message is searched for ids before they look at it, and they
get one of ours with these ids instead. A message without ids is dropped. An id is no more than a
hint: `kernel.worker.celery_app` believes its row.
"""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any, TypeGuard
from uuid import uuid4

from amqp.method_framing import frame_handler
from amqp.spec import Basic
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport import pyamqp, redis
from kombu.transport.virtual import Empty
from redis.exceptions import RedisError

from kernel.config.brokers.celeryconfig import TASK
from kernel.errors import ConfigurationError

log = logging.getLogger(__name__)

# What is longer is no hint, and is not unpacked: ours have some 50 characters for each id.
MAX_BODY = 100_000
MAX_ID = 64
# Kinds of frames of AMQP 0-9-1: one of them calls a method, the next has a message's properties.
METHOD, PROPERTIES = 1, 2
DELIVER = bytes((0, Basic.Deliver[0], 0, Basic.Deliver[1]))


def ids_in(body: str | bytes) -> list[str]:
    """Return the ids that the body of a message names; none when it is no hint."""
    if len(body) > MAX_BODY:
        return []
    try:
        ids, _, _ = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return []
    return [one for one in ids if _may_be_an_id(one)] if isinstance(ids, list) else []


def _may_be_an_id(found: object) -> TypeGuard[str]:
    return isinstance(found, str) and len(found) <= MAX_ID and found.isascii()


def _body(ids: list[str]) -> bytes:
    return json.dumps([ids, {}, {}]).encode()


def _headers() -> dict[str, str]:
    return {"lang": "py", "task": TASK, "id": str(uuid4())}


def _dropped(found: object) -> None:
    log.warning("dropped what is no message: %s", type(found).__name__)


class SurvivingChannel:
    """What a channel does with bytes in its queue that cannot be read: it goes on."""

    connection: "SiftingTransport"

    def _brpop_read(self, **options: Any) -> Any:
        self.connection.is_read = False
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except (Empty, RedisError, OSError):
            raise
        # kombu's JSON makes numbers, ids and times of what names them, each with errors of its own.
        except Exception as error:
            if self.connection.is_read:
                raise
            _dropped(error)
            raise Empty from None


class SiftingTransport:
    """What a transport does with what was in its queue: it delivers the ids."""

    # Whether the channel has read what it delivers: later errors are not those of the bytes.
    is_read = False

    def _deliver(self, message: Any, queue: str) -> None:
        self.is_read = True
        if ids := ids_in(_body_of(message)):
            super()._deliver(_in_redis(ids, queue), queue)  # type: ignore[misc]
        else:
            _dropped(message)


def _body_of(found: Any) -> bytes:
    """Return the body of what is in Redis as a hint is; an empty one of anything else."""
    match found:
        case {
            "body": str(body),
            "headers": {"task": str(task)},
            "properties": {"body_encoding": "base64"},
        } if task == TASK and len(body) <= MAX_BODY:
            try:
                return base64.b64decode(body)
            except ValueError:
                return b""
    return b""


def _in_redis(ids: list[str], queue: str) -> dict[str, Any]:
    """Return a hint as kombu has it in Redis. One that is not begun goes back to its queue."""
    return {
        "body": base64.b64encode(_body(ids)).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": _headers(),
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }


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


class AmqpChannel(pyamqp.Channel):
    """A channel to RabbitMQ: it delivers the ids of a message."""

    def _on_basic_deliver(self, *told: Any) -> None:
        tag, message = told[1], told[-1]
        if ids := ids_in(message.body):
            message.body = _body(ids)
            message.properties = {
                "content_type": "application/json",
                "content_encoding": "utf-8",
                "application_headers": _headers(),
            }
            super()._on_basic_deliver(*told)
        else:
            _dropped(message)
            self.basic_reject(tag, requeue=False)


def stripped_frames(connection: Any, callback: Callable[..., Any]) -> Callable[..., Any]:
    """Return what reads frames, as py-amqp's own does, without what a sender has chosen but bodies.

    Texts that are no UTF-8 and times beyond the calendar stopped the reading within a message. It
    came again with the next connection.
    """
    on_frame = frame_handler(connection, callback)

    def on_stripped(frame: tuple[int, int, bytes]) -> Any:
        kind, channel, payload = frame
        if kind == PROPERTIES:  # kept: class and size of the body; then there is no property
            payload = payload[:12] + bytes(2)
        elif kind == METHOD and payload[:4] == DELIVER:
            # Kept: our tag with its length, the delivery's tag, and whether it came before. Then
            # the exchange and the routing key are empty.
            payload = payload[: 4 + 1 + payload[4] + 9] + bytes(2)
        return on_frame((kind, channel, payload))

    return on_stripped


class AmqpConnection(pyamqp.Connection):
    """A connection to RabbitMQ."""

    Channel = AmqpChannel

    def __init__(self, **options: Any) -> None:
        super().__init__(frame_handler=stripped_frames, **options)


class AmqpTransport(pyamqp.Transport):
    """kombu's transport for amqp://, hardened."""

    Connection = AmqpConnection


class AmqpTlsTransport(pyamqp.SSLTransport):
    """kombu's transport for amqps://, hardened; it is for the host that the URL names.

    kombu has the authority of a certificate checked, and not whose it is: any server with a
    certificate of its own was given the user and the password.
    """

    Connection = AmqpConnection

    def establish_connection(self) -> Any:
        """Connect, if the certificate is the host's."""
        client: Any = self.client
        told = client.hostname
        client.ssl = {"server_hostname": told or "127.0.0.1"}
        try:
            return super().establish_connection()  # type: ignore[no-untyped-call]
        finally:
            client.hostname = told  # kombu writes a number for localhost


HARDENED = {
    redis.Transport: Transport,
    redis.SentinelTransport: SentinelTransport,
    pyamqp.Transport: AmqpTransport,
    pyamqp.SSLTransport: AmqpTlsTransport,
}


class HintConnection(Connection):
    """A connection that uses the transports above, and no other.

    A broker that is back is found within two seconds; by kombu's own pauses, that grow to thirty,
    the orders of a short outage waited for ten and more.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """Connect, however often it takes; arguments as kombu's, pauses in seconds."""
        pauses = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2}
        return super().ensure_connection(*args, **(pauses | options))  # type: ignore[no-untyped-call]

    def get_transport_cls(self) -> Any:
        """Return the class of the transport. Raises ConfigurationError for one that believes."""
        usual = super().get_transport_cls()  # type: ignore[no-untyped-call]
        if usual not in HARDENED:
            raise ConfigurationError(f"messages of {usual.__name__} are not read by kernel")
        return HARDENED[usual]


class HintAmqp(AMQP):  # type: ignore[misc]
    """The part of a Celery app that opens connections."""

    Connection = HintConnection
