"""Messages as drivers read them: ids come through, and nothing else of what a sender has chosen."""

import base64
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from kombu import Queue

from kernel.runtime.kernel import Kernel
from kernel.worker.broker import make_celery
from kernel.worker.untrusted_messages import AmqpConnection, ids_in
from tests.support.servers import Redis

HINT = b'[["one", "two"], {}, {}]'
# A header of the broker, and its length.
TIME = b"\x04when" + b"T" + b"\xff" * 8
PACKED = b"\x0bcompression" + b"S" + struct.pack(">I", 4) + b"gzip"


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (HINT, ["one", "two"]),
        (b'[["one", null, 7, ["two"], {}, "\\u00e9"], {}, {"chain": [1]}]', ["one"]),
        (json.dumps([["x" * 64, "x" * 65], {}, {}]).encode(), ["x" * 64]),
        (b'["one", {}, {}]', []),
        (b'{"args": ["one"], "kwargs": {}, "task": "kernel.execute"}', []),
        (b'[["one"], {}]', []),
        (b"7", []),
        (b"null", []),
        (b"", []),
        (b"\xff\xfe", []),
        (b"[" * 50_000, []),
        (b"9" * 50_000, []),
        (b'[["one"], {}, {}]' + b" " * 100_000, []),
    ],
)
def test_ids_are_all_that_is_read_of_a_body(body: bytes, ids: list[str]) -> None:
    assert ids_in(body) == ids


def in_redis(body: bytes, **headers: Any) -> bytes:
    """A hint as kombu has it there, with more headers."""
    whole = {
        "body": base64.b64encode(body).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": "kernel.execute", "id": "forged", **headers},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "forged",
            "delivery_info": {"exchange": "elsewhere", "routing_key": "elsewhere"},
            "reply_to": "elsewhere",
        },
    }
    return json.dumps(whole).encode()


def test_message_in_redis_is_given_to_celery_as_one_of_ours(
    make_kernel: Callable[..., Kernel], sqlite_url: str, redis: Redis
) -> None:
    """What is packed is dropped as it is: a message of a kilobyte would fill the memory."""
    got: list[Any] = []
    with redis.client(1) as client:
        client.flushdb()
        client.lpush("orders.x", in_redis(zlib.compress(HINT), compression="gzip"))
        client.lpush("orders.x", in_redis(HINT, timelimit=[1, 1], eta="2099-01-01T00:00:00"))
    app = make_celery(make_kernel(sqlite_url, broker_url=redis.url(1)))
    with app.connection_for_read() as connection:
        with connection.Consumer([Queue("orders.x")], on_message=got.append):
            while not got:
                connection.drain_events(timeout=5)
        (message,) = got
        assert message.payload == json.loads(HINT)
        assert set(message.headers) == {"lang", "task", "id"}
        assert "forged" not in (message.headers["id"], message.delivery_tag)
        assert message.delivery_info == {"exchange": "", "routing_key": "orders.x"}
        message.ack()


def short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def with_headers(table: bytes) -> bytes:
    return struct.pack(">HI", 0x2000, len(table)) + table


def from_rabbitmq(
    body: bytes, properties: bytes = bytes(2), routing_key: bytes = b""
) -> list[tuple[int, int, bytes]]:
    """The frames by which RabbitMQ delivers a message: method, properties, body."""
    told = short(b"mine") + struct.pack(">QB", 7, 0) + short(b"") + short(routing_key)
    return [
        (1, 1, struct.pack(">HH", 60, 60) + told),
        (2, 1, struct.pack(">HHQ", 60, 0, len(body)) + properties),
        *([(3, 1, body)] if body else []),
    ]


def delivered(*frames: tuple[int, int, bytes]) -> tuple[list[Any], list[Any]]:
    """The messages that a consumer gets of these frames, and the methods that RabbitMQ is told."""
    got: list[Any] = []
    told: list[Any] = []
    connection = AmqpConnection(host="127.0.0.1:1")
    connection.frame_writer = lambda _kind, _channel, method, *_rest: told.append(method)
    channel = connection.Channel(connection, 1)
    channel.callbacks["mine"] = lambda one: got.append(channel.message_to_python(one))
    read = connection.frame_handler_cls(connection, connection.on_inbound_method)
    for frame in frames:
        read(frame)
    return got, told


@pytest.mark.parametrize(
    ("properties", "routing_key"),
    [
        (bytes(2), b"orders.x"),
        (b"\x04\x00" + short(b"\xff"), b"orders.x"),  # a correlation id that is no UTF-8
        (bytes(2), b"\xff"),
        (with_headers(TIME), b""),
        (with_headers(PACKED), b""),
        (with_headers(b"\x01x?"), b""),
        (b"\x40\x00" + short(b"zip"), b""),
    ],
)
def test_message_of_rabbitmq_is_given_to_celery_as_one_of_ours(
    properties: bytes, routing_key: bytes
) -> None:
    (message,), told = delivered(*from_rabbitmq(HINT, properties, routing_key))
    assert message.payload == json.loads(HINT)
    assert set(message.headers) == {"lang", "task", "id"}
    assert (message.delivery_tag, message.errors, told) == (7, [], [])


@pytest.mark.parametrize("body", [b"", b"7", b"\xff", zlib.compress(HINT), b"[" * 50_000])
def test_message_of_rabbitmq_is_rejected_when_it_has_no_ids(body: bytes) -> None:
    got, told = delivered(*from_rabbitmq(body), *from_rabbitmq(HINT))
    assert len(got) == 1
    assert told == [(60, 90)]
