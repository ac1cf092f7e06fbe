"""A sweep that has nothing to do reads next to nothing, however large the tables are.

Nor do orders wait for it where an operator locks a table that has nothing to do with them.
The planner expects that a row which is looked for is there, and then that it is met soon: only the
rows that are read tell. PostgreSQL plans a statement anew for its first five executions.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text

from kernel.db.ids import new_id
from kernel.db.tables.audit import ACTS, SEALS
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.errors import HOURS
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.operating.trends import MARKS
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.maintenance.sweep import run_jobs, sweep_jobs
from kernel.worker.services.housekeeping import Housekeeping
from tests.support.abilities import Kind
from tests.support.factories import make_delivery, make_order
from tests.support.hints import FakeHints

ROWS = 20_000
EXECUTIONS = 10
# All that one execution may read: of each small table its rows, of a large one one row or two.
FEW = 60


def fill(kernel: Kernel, now: datetime) -> None:
    """Insert what an installation has whose work is done: nothing of it is old or owed."""
    ago, numbers = now - timedelta(hours=2), range(ROWS)
    order = {"state": "success", "finished_at": ago}
    one = make_order(kernel, **order)
    make_delivery(kernel, one, state="delivered", finished_at=ago)
    with kernel.write() as connection:
        orders = copies(connection, ORDERS, "id")
        copies(connection, DELIVERIES, "id", order_id=orders)
        of = {"ended_at": ago, "how": "bug", "fingerprint": "f" * 16, "is_counted": True}
        connection.execute(insert(RUNS), [of | {"order_id": one, "run": 1} for one in orders])
        hours = [
            {"fingerprint": f"{n:016}", "began_at": ago - timedelta(hours=n % 99), "number": 1}
            for n in numbers
        ]
        connection.execute(insert(HOURS), hours)
        of = {"subject": "x", "began_at": ago}
        marks = [
            of | {"kind": "breaker" if n % 2 else "start", "ended_at": ago if n % 2 else None}
            for n in numbers
        ]
        connection.execute(insert(MARKS), marks)
        of = {"at": ago, "actor": "x", "via": "cli", "verb": "order.cancel", "target": "x"}
        connection.execute(insert(ACTS), [of | {"id": n + 1} for n in numbers])
        seal = {"id": 1, "sealed_at": ago, "last_id": ROWS, "digests": ""}
        connection.execute(insert(SEALS).values(**seal, previous="0" * 64, hash="0" * 64))


def copies(connection: Connection, table: Any, key: str, **values: Sequence[str]) -> list[str]:
    """Insert as many copies of the one row of a table, and return their ids."""
    row = dict(connection.execute(table.select()).mappings().one())
    ids = [new_id(row["created_at"]) for _ in range(ROWS)]
    each = ({name: given[n] for name, given in values.items()} for n in range(ROWS))
    connection.execute(
        insert(table), [row | more | {key: i} for i, more in zip(ids, each, strict=True)]
    )
    return ids


@contextmanager
def hearing(kernel: Kernel) -> Iterator[list[tuple[str, Any]]]:
    """Collect the questions that are asked."""
    heard: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, given: Any, *___: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            heard.append((statement, given))

    engines = set(kernel.engines[1:])
    for one in engines:
        event.listen(one, "before_cursor_execute", hear)
    yield heard
    for one in engines:
        event.remove(one, "before_cursor_execute", hear)


def rows_read(kernel: Kernel, kind: Kind, statement: str, given: Any) -> float:
    """Return how many rows one execution of a statement reads, once it is prepared."""
    with kernel.engine.connect() as connection:

        def count() -> int:
            return int(connection.execute(text(kind.rows_read)).one()[1] or 0)

        before = 0
        for n in range(2 * EXECUTIONS):
            if n == EXECUTIONS:
                before = count()
            connection.exec_driver_sql(statement, given).all()
        return (count() - before) / EXECUTIONS


def test_idle_sweep_reads_few_rows_when_tables_are_large(kernel: Kernel, kind: Kind) -> None:
    if "count rows" in kind.cannot:
        assert not kind.rows_read
        return
    fill(kernel, kernel.clock.now())
    with kernel.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in (ORDERS, DELIVERIES, RUNS, HOURS, MARKS, ACTS, SEALS):
            connection.execute(text(kind.analyze.format(table=table.name)))
    services = Dispatcher(kernel, FakeHints()).loop.services
    (housekeeping,) = (one for one in services if isinstance(one, Housekeeping))
    housekeeping.sweep()
    with hearing(kernel) as heard:
        housekeeping.sweep()
    read = {one: rows_read(kernel, kind, one, given) for one, given in heard}
    assert {one: rows for one, rows in read.items() if rows > FEW} == {}


@pytest.mark.parametrize("table", ["kernel_acts", "kernel_errors", "kernel_process_metrics"])
def test_orders_wait_for_no_lock_on_a_table_of_the_books(
    kernel: Kernel, kind: Kind, table: str
) -> None:
    if "lock tables" in kind.cannot:
        assert not kind.lock_table
        return
    order_id = make_order(kernel)
    kernel.clock.shift(60)
    jobs = sweep_jobs(FakeHints(), may_rescue=lambda: True)
    with kernel.engine.connect() as connection:
        connection.execute(text(kind.lock_table.format(table=table)))
        began = time.monotonic()
        done = next(done for job, done, _ in run_jobs(kernel, jobs) if done.due)
        assert time.monotonic() - began < kernel.dialect.lock_wait_seconds / 2
        connection.invalidate()
    assert done.due == [order_id]
