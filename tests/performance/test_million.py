"""Every page of the dashboard on 1,000,000 orders: the rows that MariaDB reads for it.

`./run test` makes 20,000 orders, for what is read depends on bounds and not on them; `./run
nightly` makes a million. The milliseconds of docs/performance.md are printed with `-s`: the
server's own processor time, for a machine that runs other tests makes any other time noise.
"""

import faulthandler
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.bulk import JOBS
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.runtime.kernel import Kernel
from tests.db.test_rows_read import rows_read
from tests.support.guards import ALL_DATABASES
from tests.support.people.dashboard import Visitor, operator
from tests.support.people.every_page import Filled, every_page
from tests.support.queries.million import many_orders
from tests.support.servers import MariaDB

MANY = 1_000_000 if ALL_DATABASES else 20_000
MOST_MS = 50.0
# Entries of indexes: states and receivers are counted up to a bound each, and read twice.
COUNTS = 250_000
# What a list looks through, or a count, for which no index answers: each for some milliseconds, in
# which a server that has nothing else to do reads more.
LOOKED = 150_000
ORDER_FILTERS = (
    *("state=failed", "state=success", "state=pending", "state=waiting", "state=running"),
    *("tag=rare_tag", "state=success&tag=rare_tag", "state=failed&tag=rare_tag"),
    *("caller=caller-1", "caller=caller-1&state=failed", "callback=dead", "callback=none"),
    *("host=receiver-2.example", "host=nowhere.example", "receiver=desk", "error=timed_out"),
    *("error=nothing", "error=timed_out&tag=rare_tag&since=2h", "fingerprint={fingerprint}"),
    *("reference={reference}", "reference_prefix=INC000", "ordering_key=customer 4711"),
    *("batch={order_id}", "waiting=any", "since=2h", "ended_since=1d&state=failed"),
    *("q=Bridge 77", "q=nothing at all", "q=INC000", "q={order_id}"),
)
CALLBACK_FILTERS = (
    *("state=dead", "state=delivered", "state=pending", "state=held", "caller=caller-1"),
    *("caller=caller-1&state=dead", "host=receiver-2.example", "host=nowhere.example"),
    *("receiver=desk", "error=timed_out", "tag=rare_tag", "tag=rare_tag&state=dead"),
    *("died_of=deadline", "died_of=gone", "reference={reference}", "reference_prefix=INC000"),
    *("since=2h", "state=dead&since=1d", "state=dead&host=receiver-2.example"),
    *("order={order_id}", "state=delivered&until=7d", "ordering_key=customer 4711"),
)
ACTS = (
    *("kind=rerun&count=1", "kind=cancel&count=1", "kind=redeliver&count=1", "kind=drop&count=1"),
    *("kind=rerun&state=success", "kind=rerun&error=timed_out", "kind=rerun&tag=rare_tag"),
    *("kind=redeliver&state=delivered", "kind=redeliver&host=receiver-2.example"),
)
MORE = {
    "/dashboard/orders": ORDER_FILTERS,
    "/dashboard/deliveries": CALLBACK_FILTERS,
    "/dashboard/bulk/new": ACTS,
    "/dashboard/": ("span=day", "span=week"),
    "/dashboard/trends": ("span=day", "span=week", "span=week&by=tag:create_project"),
    "/dashboard/audit": ("who=person-1", "what=order.cancel", "on=order 77", "since=7d"),
}


@dataclass(frozen=True)
class Cost:
    """What one page asked of the server."""

    page: str
    status: int
    rows: int
    statements: int
    # The processor's time of the server.
    milliseconds: float

    @property
    def most(self) -> int:
        """The rows that it may read."""
        counts = self.page.split("?")[0] in ("/dashboard/", "/dashboard/orders")
        return COUNTS if counts else LOOKED


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """A kernel on its own server, which is as large as one that serves so many orders."""
    # Its rows take minutes; pytest would take it for a test that hangs.
    faulthandler.cancel_dump_traceback_later()
    with closing(MariaDB()) as server:
        server.start()
        with many_orders(server, MANY) as kernel:
            yield kernel


def pages(kernel: Kernel) -> list[str]:
    """Every page there is, of rows that are there, and those of `MORE`."""
    with kernel.read() as connection:
        known = {
            "order_id": connection.scalar(newest(ORDERS, "failed")),
            "delivery_id": connection.scalar(newest(DELIVERIES, "dead")),
            "bulk_id": connection.scalar(select(JOBS.c.id)),
            "fingerprint": connection.scalar(select(func.max(RUNS.c.fingerprint))),
        }
        reference = connection.scalar(select(func.max(REFERENCES.c.reference)))
    own = every_page(kernel, Filled(**known)).values()
    values = known | {"reference": reference}
    more = [f"{page}?{query.format(**values)}" for page, some in MORE.items() for query in some]
    return sorted(own) + more


def newest(table: Any, state: str) -> Any:
    """Ask for the newest row in a state."""
    return select(func.max(table.c.id)).where(table.c.state == state)


def ask(kernel: Kernel, visitor: Visitor, page: str) -> Cost:
    """Ask for a page, and tell what it cost."""
    said: list[Any] = []
    answers: list[int] = []
    started = processor(kernel)
    reading = processor(kernel) - started
    event.listen(kernel.engines.single, "after_cursor_execute", noted := partial(_note, said))
    try:
        rows = rows_read(kernel, lambda: answers.append(visitor.get(page).status_code))
    finally:
        event.remove(kernel.engines.single, "after_cursor_execute", noted)
    spent = processor(kernel) - started - 2 * reading
    return Cost(page, answers[0], rows, len(said) - 3, 1000 * max(0.0, spent))


def _note(said: list[Any], *call: Any) -> None:
    said.append(call[2])


def processor(kernel: Kernel) -> float:
    """Seconds of the processor that the server has spent for its users."""
    query = text("SELECT SUM(CPU_TIME) FROM information_schema.USER_STATISTICS")
    with kernel.read() as connection:
        return float(connection.scalar(query) or 0)


@pytest.mark.slow
def test_every_page_reads_few_rows_of_very_many(kernel: Kernel) -> None:
    with kernel.write() as connection:
        connection.execute(text("SET GLOBAL userstat = 1"))
    visitor = operator(kernel)
    asked = pages(kernel)
    assert len(asked) > 70
    for page in asked:  # what a process reads once, and keeps
        visitor.get(page)
    costs = [ask(kernel, visitor, page) for page in asked]
    for one in sorted(costs, key=lambda one: -one.milliseconds):
        print(f"{one.milliseconds:6.1f} ms {one.rows:8} rows {one.statements:4} x {one.page}")
    assert [one for one in costs if one.status not in (200, 404)] == []
    assert [one for one in costs if one.rows > one.most] == []
