"""Brokers that die, freeze, forget or hang up."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import redis

from tests.chaos.brokers import RabbitMQ

if TYPE_CHECKING:
    from tests.chaos.faults import Place


def killed(place: "Place") -> Iterator[float]:
    broker = place.system.broker
    broker.kill()
    yield 2.0
    if isinstance(broker, RabbitMQ):
        broker.forget()
    broker.start()


def stopped(place: "Place") -> Iterator[float]:
    place.system.broker.pause()
    yield 10.0
    place.system.broker.resume()


def flushed(place: "Place") -> Iterator[float]:
    for _ in range(3):
        _tell(place, "FLUSHALL")
        yield 0.3


def flapping(place: "Place") -> Iterator[float]:
    for _ in range(5):
        place.system.broker.kill()
        yield 0.2
        place.system.broker.start()
        yield 0.4


def clients_killed(place: "Place") -> Iterator[float]:
    for _ in range(5):
        _tell(place, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        yield 0.2


def _tell(place: "Place", *command: str) -> None:
    # Another fault may hold the broker at this moment.
    with suppress(redis.RedisError), place.system.broker.client() as client:  # type: ignore[attr-defined]
        client.execute_command(*command)


def rabbit_closed(place: "Place") -> Iterator[float]:
    broker = place.system.broker
    assert isinstance(broker, RabbitMQ)
    for _ in range(2):
        broker.close_connections()
        yield 0.5
