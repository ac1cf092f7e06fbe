"""What waits, and for how long: from indexes alone, and not too often. On each kind of database."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from kernel.insight.backlog import backlog
from kernel.runtime.kernel import Kernel
from tests.support.clients import client
from tests.support.factories import make_delivery, make_order
from tests.support.prometheus import scrape, value


def test_backlog_is_shown_with_its_age_when_it_waits(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_order(kernel, run_after=now - timedelta(seconds=60))
    make_order(kernel, run_after=now + timedelta(hours=1))
    make_order(kernel, state="running")
    make_delivery(kernel, next_attempt_at=now - timedelta(seconds=30))
    make_delivery(kernel, next_attempt_at=now + timedelta(hours=1))
    make_delivery(kernel, state="held")
    make_delivery(kernel, state="dead", finished_at=now)
    make_delivery(kernel, state="dead", finished_at=now, died_of="dropped")
    make_delivery(kernel, state="dead", finished_at=now - timedelta(days=2))
    text = scrape(client(kernel))
    counts = {
        name: value(text, f"kernel_{name}")
        for name in (
            "orders_due",
            "orders_running",
            "deliveries_due",
            "deliveries_pending",
            "deliveries_held",
            "deliveries_dead",
        )
    }
    assert list(counts.values()) == [1, 1, 1, 2, 1, 1], counts
    assert 60 <= value(text, "kernel_orders_due_oldest_seconds") < 70
    assert 30 <= value(text, "kernel_deliveries_due_oldest_seconds") < 40


@pytest.fixture(params=["sqlite_url", "mariadb_rows_url"])
def small(make_kernel: Callable[..., Kernel], request: pytest.FixtureRequest) -> Kernel:
    """A kernel on a database that takes an index however few rows there are.

    PostgreSQL reads a table of fifty rows whole: the conformance suite asks it with thousands.
    """
    return make_kernel(request.getfixturevalue(request.param))


def test_backlog_is_read_from_indexes_alone_when_it_is_counted(small: Kernel) -> None:
    kernel = small
    for _ in range(50):
        make_delivery(kernel)
        make_order(kernel)
    said: list[tuple[str, Any]] = []
    for engine in {kernel.engine, kernel.engines.single}:
        event.listen(engine, "before_cursor_execute", lambda *call: said.append(call[2:4]))
    backlog(kernel)
    asked = [one for one in said if "count(" in one[0]]
    word = "COVERING INDEX" if kernel.engine.dialect.name == "sqlite" else "Using index"
    plans = [plan(kernel, *one) for one in asked]
    assert [one.count(word) for one in plans] == [1, 5], plans


def plan(kernel: Kernel, statement: str, parameters: Any) -> str:
    """How the database would do it, for the inner select: what reads the table."""
    verb = "EXPLAIN QUERY PLAN" if kernel.engine.dialect.name == "sqlite" else "EXPLAIN"
    with kernel.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"{verb} {statement}", parameters).all()
    return str(rows)


def test_backlog_is_asked_for_once_in_five_seconds_when_it_is_scraped_often(kernel: Kernel) -> None:
    zammad = client(kernel)
    scrape(zammad)
    make_order(kernel)
    text = scrape(zammad)
    assert value(text, "kernel_orders_due") == 0
    assert value(text, "kernel_http_requests_total", route="/metrics") == 1


def test_dead_callbacks_are_counted_when_more_than_the_limit_were_dropped(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for minutes in range(5):
        at = now - timedelta(minutes=minutes)
        make_delivery(kernel, state="dead", finished_at=at, died_of="gone")
        for _ in range(2):
            make_delivery(kernel, state="dead", finished_at=at, died_of="dropped")
    found = [backlog(kernel, limit=limit).deliveries_dead for limit in (1, 3, 5, 6)]
    assert found == [1, 3, 5, 5]


def test_backlog_stops_counting_when_there_is_too_much(kernel: Kernel) -> None:
    for _ in range(5):
        make_order(kernel)
        make_delivery(kernel)
    found = backlog(kernel, limit=3)
    assert (found.orders_due, found.deliveries_due, found.deliveries_pending) == (3, 3, 3)
