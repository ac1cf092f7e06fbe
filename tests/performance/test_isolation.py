"""Receivers that are dead, slow or limited take little from those that are well.

A ratio of two times, one after the other on one machine, so it holds on any. The receivers are a
process of their own, and those that are well answer after a tenth of a second. The same in a model
of time, without a machine's noise: tests/delivery/test_sharing.py.
"""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from itertools import count
from statistics import median
from typing import Any, NamedTuple

import pytest
from sqlalchemy import insert

from bench.receiver import Receiver
from kernel.db.ids import new_id
from kernel.db.tables.deliveries import DELIVERIES
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import origin_of
from kernel.transport.client import Transport
from kernel.worker.dispatcher import Dispatcher
from tests.support.factories import empty_tables, make_order
from tests.support.hints import FakeHints
from tests.support.ticketing import BODY, make_receiver
from tests.support.waiting import wait_until

WELL, REFUSING, BROKEN, SLOW, LIMITED = 10, 3, 2, 3, 2
EACH = 100
# The healthy ten take this many times as long with the other ten as alone, at the most.
MOST = 1.2
# Pairs of runs: the median of at least FEWEST counts. None begins after ENOUGH seconds.
FEWEST, ENOUGH = 3, 75.0
# Alone the healthy ten take about 1.3 s. A machine on which they take this long has something else
# to do, now more and now less, and times there tell of that: then the best pair counts.
BUSY = 3.0


class To(NamedTuple):
    """Where callbacks go, and how the receiver is told to answer them."""

    port: int
    query: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@pytest.fixture
def sender(make_kernel: Callable[..., Kernel], mariadb_rows_url: str) -> Iterator[Kernel]:
    """A kernel that sends for real, to loopback."""
    transport = Transport(5)
    nets = ["127.0.0.1/32"]
    yield make_kernel(mariadb_rows_url, transport=transport, callback_allow_nets=nets)
    transport.close()


@pytest.fixture
def receivers() -> Iterator[Receiver]:
    """Receivers in a process of their own, one port for each."""
    started = Receiver(WELL + BROKEN + SLOW + LIMITED)
    yield started
    started.close()


def owe_each(kernel: Kernel, tos: list[To], name: str) -> None:
    """Insert EACH deliveries to each of ``tos``, in turn; those to the well go to /NAME/NUMBER."""
    now, order_id = kernel.clock.now(), make_order(kernel, state="success")
    shared = {"order_id": order_id, "caller_id": 1, "body": json.dumps(BODY).encode()}
    shared |= {"created_at": now, "next_attempt_at": now}
    rows: list[dict[str, Any]] = []
    for number in range(EACH * len(tos)):
        place = number % len(tos)
        round_, to = name if place < WELL else f"{name}-ill", tos[place]
        url = f"{to.url}{round_}/{number}{to.query}"
        rows.append({"id": new_id(now), "origin": origin_of(url), "url": url} | shared)
    with kernel.write() as connection:
        connection.execute(insert(DELIVERIES), rows)


def seconds_for(kernel: Kernel, receivers: Receiver, tos: list[To], name: str) -> float:
    """Owe callbacks to these, and return how long those that are well take to get theirs."""
    owe_each(kernel, tos, name)
    dispatcher = Dispatcher(kernel, FakeHints())
    started = time.monotonic()

    def all_arrived() -> list[float] | None:
        time.sleep(0.2)  # asking takes from what is measured
        arrived = asyncio.run(receivers.arrivals(name)).values()
        return list(arrived) if len(arrived) >= EACH * WELL else None

    dispatcher.start()
    try:
        return max(wait_until(all_arrived, 120) or ()) - started
    finally:
        assert dispatcher.stop(60)
        empty_tables(kernel)


def closed_port() -> int:
    """Return a port of loopback at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def ratio(pairs: list[tuple[float, float]]) -> float:
    """Return by how much the others slow down the healthy ten, typically."""
    ratios = [together / alone for alone, together in pairs]
    return min(ratios) if median(alone for alone, _ in pairs) > BUSY else median(ratios)


def test_receivers_that_are_well_are_as_fast_as_alone_beside_ten_that_are_not(
    sender: Kernel, receivers: Receiver
) -> None:
    ports, names = iter(receivers.ports), (f"round{number}" for number in count())

    def some(number: int, query: str = "", **terms: Any) -> list[To]:
        found = [To(next(ports), query) for _ in range(number)]
        for one in found:
            make_receiver(sender, f"r{one.port}", one.url, **terms)
        return found

    well = some(WELL, "?ms=100")
    ill = some(BROKEN, "?status=500") + some(SLOW, "?ms=1000") + some(LIMITED, rate=60)
    ports = iter([closed_port() for _ in range(REFUSING)])
    ill += some(REFUSING)
    seconds_for(sender, receivers, well, next(names))  # connections and caches
    pairs: list[tuple[float, float]] = []
    end = time.monotonic() + ENOUGH
    while not pairs or (time.monotonic() < end and (len(pairs) < FEWEST or ratio(pairs) > MOST)):
        alone = seconds_for(sender, receivers, well, next(names))
        pairs.append((alone, seconds_for(sender, receivers, [*well, *ill], next(names))))
    assert ratio(pairs) <= MOST, [f"{alone:.2f} s, {both:.2f} s" for alone, both in pairs]
