"""A worker's host that is cut off from the database or from the broker, or hears nothing of it.

The worker runs in a network namespace of its own; its packets are dropped, so that nobody is told:
no connection is reset, nothing is refused.
"""

import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.hosts import Host, lacks_hosts
from tests.chaos.orders import create
from tests.chaos.stack import LEASE_SECONDS

if TYPE_CHECKING:
    from tests.chaos.faults import Place

WORKER = "worker-b"
# Longer than a lease, the sweep after it and a run: others take the orders over and end them.
CUT_SECONDS = LEASE_SECONDS + 10.0
# Then TCP sends again what was dropped, and the runs go on that were cut off.
HEALED_SECONDS = 13.0
# Orders with a pause; of so many that run at once, one at least runs in the worker that is cut off.
ORDERS, ENOUGH = 8, 3

lacks = lacks_hosts


def database(place: "Place") -> Iterator[float]:
    assert place.system.database is not None
    yield from _cut(place, place.system.database.port, sends=False)


def broker(place: "Place") -> Iterator[float]:
    yield from _cut(place, place.system.broker.port, sends=False)


def one_way(place: "Place") -> Iterator[float]:
    assert place.system.database is not None
    yield from _cut(place, place.system.database.port, sends=True)


def _cut(place: "Place", port: int, *, sends: bool) -> Iterator[float]:
    """Move a worker to a host of its own, cut it off while orders run there, move it back.

    The stream is thin meanwhile, so that these orders are among those that run.
    """
    system, rate = place.system, place.load.rate
    place.load.rate = 2.0
    servers = [system.broker, system.database, *system.receivers]
    host = Host(server.port for server in servers if server is not None)
    try:
        system.prefix[WORKER] = host.prefix
        yield from _started_again(place)
        for part in range(ORDERS):
            place.load.send(create(place.key(part), "pause_project"))
        running = (
            "SELECT COUNT(*) FROM kernel_orders WHERE select_tag = 'pause_project'"
            f" AND state = 'running' AND idempotency_key LIKE '{place.key()[:-1]}%'"
        )
        deadline = time.monotonic() + 10
        while (place.system.ask(running) or [(0,)])[0][0] < ENOUGH and time.monotonic() < deadline:
            yield 0.05
        yield 1.0  # they are in the pause before they write
        host.cut(port, sends=sends)
        yield CUT_SECONDS
        host.heal()
        yield HEALED_SECONDS
        system.prefix.pop(WORKER)
        yield from _started_again(place)
        place.load.rate = rate
    finally:  # also when the run is interrupted: the namespace would outlive it
        system.prefix.pop(WORKER, None)
        host.close()


def _started_again(place: "Place") -> Iterator[float]:
    place.system.restart(WORKER, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while not place.system.is_ready(WORKER) and time.monotonic() < deadline:
        yield 0.2
