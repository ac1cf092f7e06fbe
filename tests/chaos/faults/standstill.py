"""Workers that were all down for long, and workers that live and take nothing new."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import redis

from tests.chaos.brokers import RabbitMQ
from tests.chaos.odd_handlers import HOUR, WITHOUT
from tests.chaos.orders import create

if TYPE_CHECKING:
    from tests.chaos.faults import Place

TAG = "rare_project"
SWEEPERS = ("worker-a", "worker-b", "dispatcher")
# What an hour of sweeps is for the processes of this fault.
HOUR_SECONDS = 12.0
# For how long a worker may take nothing new: a sweep, the start of a main process, an order.
TAKEN_IN_SECONDS = 15.0
LONG_ORDERS = 3
ENDED = "finished_at IS NOT NULL"


def two_kinds(place: "Place") -> Iterator[float]:
    """Stop all that sweeps for longer than the hour; start a worker that lacks a tag first.

    The stream is thin meanwhile: what is tested is not how fast a backlog is worked off.
    """
    system, rate = place.system, place.load.rate
    place.load.rate = 1.0
    place.load.send(create(place.key(), TAG))
    yield from _down(place, SWEEPERS)
    place.load.send(create(place.key(1), TAG))
    yield HOUR_SECONDS + 3.0
    system.release("worker-a", **{HOUR: f"{HOUR_SECONDS:g}", WITHOUT: TAG})
    yield from _until_ready(place, "worker-a")
    yield 3.0
    # The others take long to start on a busy machine, and this one must not sweep for an hour.
    yield from _down(place, SWEEPERS[:1])
    for name in SWEEPERS:
        system.release(name)
    yield from _until_ready(place, "worker-b")
    place.load.rate = rate


def _down(place: "Place", names: Sequence[str]) -> Iterator[float]:
    """Stop processes for good, and wait until they have ended."""
    place.system.hold(*names)
    children = [place.system.children[name] for name in names]
    deadline = time.monotonic() + 40
    while any(child.returncode is None for child in children) and time.monotonic() < deadline:
        yield 0.1


def _until_ready(place: "Place", name: str) -> Iterator[float]:
    deadline = time.monotonic() + 40
    while not place.system.is_ready(name) and time.monotonic() < deadline:
        yield 0.1


def half_dead(place: "Place") -> Iterator[float]:
    """End the workers' consumers while each worker runs a long order; new ones must not wait."""
    broker, rate = place.system.broker, place.load.rate
    assert not isinstance(broker, RabbitMQ)
    place.load.rate = 2.0
    long = [place.key(part) for part in range(LONG_ORDERS)]
    for key in long:
        place.load.send(create(key, "slow_project"))
    yield from _until(place, "state = 'running'", long, 10.0)
    _tell(place, "REPLICAOF", "127.0.0.1", "1")
    yield 1.5
    _tell(place, "REPLICAOF", "NO", "ONE")
    new = place.key(LONG_ORDERS)
    place.load.send(create(new))
    started = time.monotonic()
    yield from _until(place, ENDED, [new], TAKEN_IN_SECONDS)
    if _count(place, ENDED, [new]):
        place.notes.append(f"a new order ended after {time.monotonic() - started:.1f} s")
    else:
        place.notes.append("FAILED: a new order waits for long ones, its worker is half dead")
    place.load.rate = rate
    yield from _until(place, ENDED, long, 60.0)
    if _count(place, "run > 1", long):
        place.notes.append("FAILED: a long order was disturbed")


def _until(place: "Place", condition: str, keys: Sequence[str], seconds: float) -> Iterator[float]:
    """Wait until a condition in SQL holds for all of these orders."""
    deadline = time.monotonic() + seconds
    while _count(place, condition, keys) < len(keys) and time.monotonic() < deadline:
        yield 0.1


def _count(place: "Place", condition: str, keys: Sequence[str]) -> int:
    names = ", ".join(f"'{key}'" for key in keys)
    rows = place.system.ask(
        f"SELECT COUNT(*) FROM kernel_orders WHERE idempotency_key IN ({names}) AND {condition}"
    )
    return int(rows[0][0]) if rows else 0


def _tell(place: "Place", *command: str) -> None:
    with suppress(redis.RedisError), place.system.broker.client() as client:  # type: ignore[attr-defined]
        client.execute_command(*command)
