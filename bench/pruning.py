"""Prunes a whole database while another process writes to the rows that are about to go.

    python -m bench.pruning DATABASE_URL

is that process. It locks deliveries of the oldest orders, updates them as a redelivery would,
inserts orders, and prints its longest waits when its input ends.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, event, text

from bench.plan import percentile
from bench.stages import timed
from kernel.builtin import handlers
from kernel.cli.local.supervisor import tethered
from kernel.config.settings import load
from kernel.db.ids import new_id
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.prune import BEGINNING, prune

OLDEST = text(
    "SELECT kernel_deliveries.id FROM kernel_orders FORCE INDEX (ix_kernel_orders_finished_at)"
    " STRAIGHT_JOIN kernel_deliveries FORCE INDEX (ix_kernel_deliveries_order_id)"
    " ON kernel_deliveries.order_id = kernel_orders.id"
    " WHERE kernel_orders.finished_at IS NOT NULL ORDER BY kernel_orders.finished_at LIMIT 200"
)
TOUCH = text("UPDATE kernel_deliveries SET client_errors = client_errors WHERE id = :id")
INSERT = text(
    "INSERT INTO kernel_orders"
    " (id, caller_id, select_tag, args, callback_url, fingerprint, created_at, state, run_after,"
    " run, checkpoint, crashes) VALUES (:id, 101, 'create_project', '{}',"
    " 'https://receiver.example/', '0', UTC_TIMESTAMP(6), 'pending', UTC_TIMESTAMP(6), 0, 0, 0)"
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """The measurements of pruning; times are in milliseconds."""

    orders: int
    seconds: float
    transactions: int
    transaction_p50: float
    transaction_p999: float
    transaction_longest: float
    # How often the other process wrote meanwhile, and how long it waited. An insert waits for no
    # lock of pruning: its time is due to the server and the machine.
    updates: int
    update_p999: float
    update_longest: float
    inserts: int
    insert_p999: float
    insert_longest: float


def prune_all(kernel: Kernel) -> Pruned:
    """Prune until no order is left; to ``kernel`` all orders are old enough."""
    began, orders, times = time.perf_counter(), 0, []
    with _neighbour(kernel) as neighbour, _timing(kernel, times):
        after: datetime | None = BEGINNING
        while after is not None:
            deleted, after = prune(kernel, after)
            orders += deleted
        seconds = time.perf_counter() - began
        said, _ = neighbour.communicate()
    waits: dict[str, Any] = json.loads(said)
    spread = (percentile(times, 0.5), percentile(times, 0.999), max(times))
    return Pruned(orders, seconds, len(times), *spread, **waits)


@contextmanager
def _timing(kernel: Kernel, times: list[float]) -> Iterator[None]:
    """Record how long each transaction holds its connection, and so its locks."""
    taken = [0.0]

    def take(*_: object) -> None:
        taken[0] = time.perf_counter()

    def give_back(*_: object) -> None:
        times.append((time.perf_counter() - taken[0]) * 1000)

    event.listen(kernel.engine, "checkout", take)
    event.listen(kernel.engine, "checkin", give_back)
    yield
    event.remove(kernel.engine, "checkout", take)
    event.remove(kernel.engine, "checkin", give_back)


@contextmanager
def _neighbour(kernel: Kernel) -> Iterator["subprocess.Popen[str]"]:
    url = kernel.settings.database_url.get_secret_value()
    argv = tethered([sys.executable, "-m", "bench.pruning", url])
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def _disturb(kernel: Kernel, stop: threading.Event) -> dict[str, float]:
    """Write until ``stop`` is set; return the number of writes and the longest times."""
    updates: list[float] = []
    inserts: list[float] = []
    while not stop.is_set():
        with kernel.read_session() as session:
            oldest = session.scalars(OLDEST).all()
        for delivery_id in random.sample(oldest, min(20, len(oldest))):
            updates.append(_write(kernel, TOUCH, delivery_id))
        inserts.append(_write(kernel, INSERT, new_id(kernel.clock.now())))
    found: dict[str, float] = {}
    for name, times in (("update", updates), ("insert", inserts)):
        found |= {f"{name}s": len(times), f"{name}_longest": max(times)}
        found[f"{name}_p999"] = percentile(times, 0.999)
    return found


def _write(kernel: Kernel, statement: TextClause, row_id: str) -> float:
    with kernel.write() as connection:
        return timed(lambda: connection.execute(statement, {"id": row_id}))


def main(url: str) -> None:
    """Write until the input ends, then print the measurements."""
    stop, kernel = threading.Event(), Kernel(load(database_url=url, result_backend=""), handlers)
    kernel.clock.now()
    print("ready", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    print(json.dumps(_disturb(kernel, stop)))


if __name__ == "__main__":
    main(sys.argv[1])
