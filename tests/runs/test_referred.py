"""A handler's table that refers to orders: the run's own transaction holds its order's row.

MariaDB locks the row that a foreign key leads to, shared, until the transaction ends. PostgreSQL's
lock of it lets everything pass that is written there, and SQLite has one writer at a time.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute
from kernel.runs.leases import renew_leases
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.rescue import rescue_orders
from kernel.worker.services.lease_keeper import LeaseKeeper
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named
from tests.support.waiting import wait_until

MakeKernel = Callable[..., Kernel]
ASCII = " CHARACTER SET ascii COLLATE ascii_bin"
TABLE = (
    f"CREATE TABLE part (order_id VARCHAR(36){ASCII},"
    " FOREIGN KEY (order_id) REFERENCES kernel_orders (id))"
)
REFER = text("INSERT INTO part VALUES (:id)")


class Runs:
    """Orders that run, each in a thread, until `end`: one that refers to its row, and another."""

    def __init__(self, make_kernel: MakeKernel, url: str, **settings: Any) -> None:
        registry, self._over = Handlers(), threading.Event()
        self.begun = threading.Barrier(3)

        @registry.register("do", Named)
        def do(run: Run, args: Named) -> dict[str, Any]:
            if args.name == "refers":
                run.session.execute(REFER, {"id": run.order_id})
            self.begun.wait(10)
            self._over.wait(30)
            return {}

        self.kernel = make_kernel(url, registry, **settings)
        with self.kernel.write() as connection:
            is_mariadb = connection.dialect.name == "mysql"
            connection.exec_driver_sql(TABLE if is_mariadb else TABLE.replace(ASCII, ""))
        self.ids = [
            make_order(self.kernel, select_tag="do", args=f'{{"name": "{name}"}}')
            for name in ("refers", "other")
        ]
        self._threads = [
            threading.Thread(target=execute, args=(self.kernel, one)) for one in self.ids
        ]
        for thread in self._threads:
            thread.start()
        self.begun.wait(10)

    def leases(self) -> list[Any]:
        """Until when each is taken for alive."""
        return [order(self.kernel, one).lease_until for one in self.ids]

    def end(self) -> None:
        """Let the handlers return."""
        self._over.set()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def runs(make_kernel: MakeKernel, mariadb_own_url: str) -> Iterator[Runs]:
    found = Runs(make_kernel, mariadb_own_url)
    yield found
    found.end()


def test_lease_of_a_neighbour_is_renewed_without_waiting(runs: Runs) -> None:
    before, began = runs.leases(), time.monotonic()
    found = sorted(runs.kernel.running.values(), key=lambda run: runs.ids.index(run.order_id))
    renewed = [run.renewed for run in found]
    renew_leases(runs.kernel, found)
    assert time.monotonic() - began < 2
    assert [after > first for after, first in zip(runs.leases(), before, strict=True)] == [
        False,
        True,
    ]
    assert [run.renewed > first for run, first in zip(found, renewed, strict=True)] == [False, True]
    assert [run.lost for run in found] == [False, False]
    runs.end()
    assert [order(runs.kernel, one).state for one in runs.ids] == ["success"] * 2


def test_own_reference_holds_no_lease_up_on_postgresql(
    make_kernel: MakeKernel, postgresql_url: str
) -> None:
    runs = Runs(make_kernel, postgresql_url)
    before = runs.leases()
    renew_leases(runs.kernel, list(runs.kernel.running.values()))
    later = [after > first for after, first in zip(runs.leases(), before, strict=True)]
    runs.end()
    assert later == [True, True]


def test_run_that_holds_its_row_shared_is_not_ended_by_a_rescue(runs: Runs) -> None:
    kernel, held, over = runs.kernel, runs.ids[0], threading.Event()
    kernel.clock.shift(kernel.settings.lease_seconds + 1)
    renew_leases(kernel, list(kernel.running.values()))

    def wait_for_row() -> None:
        asked = select(ORDERS.c.id).where(ORDERS.c.id == held).with_for_update()
        while not over.is_set():
            with suppress(OperationalError), kernel.write_session() as session:
                session.scalar(asked)

    rivals = [threading.Thread(target=wait_for_row) for _ in range(2)]
    rivals[0].start()
    over.wait(2)
    rivals[1].start()
    rescue_orders(kernel, swept := Swept())
    over.set()
    runs.end()
    for rival in rivals:
        rival.join(30)
    assert swept.rescued == []
    assert [(found.state, found.run) for found in map(partial(order, kernel), runs.ids)] == [
        ("success", 1)
    ] * 2


def test_run_that_takes_too_long_is_told_as_timed_out(
    make_kernel: MakeKernel, mariadb_own_url: str
) -> None:
    runs, overdue = Runs(make_kernel, mariadb_own_url, time_limit_seconds=0.1), list[Run]()
    keeper = LeaseKeeper(runs.kernel, print, seconds=0.0, overdue=overdue.append)
    wait_until(lambda: keeper.run() or len(overdue) >= 2, 30)
    found = [order(runs.kernel, one) for one in runs.ids]
    assert [(one.state, one.timeouts) for one in found] == [("pending", 1)] * 2
    assert runs.kernel.pending_handbacks == {}
    runs.end()
