"""How MariaDB answers whatever the stages ask: by an index, however large the tables are.

Everything happens once on a few thousand rows, every statement is heard, and its plan looked at.
A place that asks the database and was not heard fails `test_every_question_is_asked_...`: add
what leads there to `tests/support/queries/statements.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text

from bench.rows import Size, fill, make_due
from kernel.config.settings import load
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.lanes import Lane
from kernel.delivery.pauses import hold_paused, pause
from kernel.handlers import Handlers
from kernel.orders.backpressure import Pressure
from kernel.orders.due import due_orders, waiting_longest
from kernel.orders.pages import OrderFilter, list_orders
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, create_tables
from kernel.worker.maintenance.prune import prune
from kernel.worker.maintenance.sweep import run_jobs, sweep_jobs
from tests.support.factories import sweep_for
from tests.support.queries.plans import FEW, Said, complaints, listening, silent
from tests.support.queries.statements import (
    CALLER,
    HAPPENINGS,
    filters,
    give_handlers,
    people_look,
    time_goes_by,
)
from tests.support.servers import MariaDB

SIZE = Size(finished=8000, pending=1000, retries=1000)
LANE = Lane(True, CALLER, "https://receiver-2.example:443")


@pytest.fixture(scope="module")
def kernel(mariadb: MariaDB) -> Iterator[Kernel]:
    """A kernel on a few thousand rows, with the statistics that a server has after a while."""
    url = mariadb.create_database()
    kernel = Kernel(load(database_url=url, result_backend=""), Handlers(), FakeTransport())
    give_handlers(kernel)
    create_tables(kernel)
    fill(kernel, SIZE)
    yield kernel
    kernel.close()
    mariadb.drop(url)


@pytest.fixture(scope="module")
def said(kernel: Kernel) -> list[Said]:
    """Every statement, with the plan it had when it was said."""
    with listening(kernel) as found:
        for happening in HAPPENINGS:
            happening(kernel)
    return found


def test_every_question_is_asked_when_everything_happens(said: list[Said]) -> None:
    assert silent(said) == []


def test_no_large_table_is_read_whole_when_everything_happens(said: list[Said]) -> None:
    assert sorted({wrong for one in said for wrong in complaints(one)}) == []


def rows_read(kernel: Kernel, work: Callable[[], object]) -> int:
    """How many rows and index entries the server looks at meanwhile."""

    def count() -> int:
        with kernel.read_session() as session:
            read = session.execute(text("SHOW GLOBAL STATUS LIKE 'Handler_read%'"))
            return sum(int(value) for _, value in read)

    started = count()
    asking = count() - started
    started = count()
    work()
    return count() - started - asking


def test_page_reads_few_rows_whatever_its_filter_is(kernel: Kernel, said: list[Said]) -> None:
    def page(caller_id: int | None, wanted: OrderFilter) -> None:
        with kernel.read_session() as session:
            list_orders(session, caller_id, wanted)

    read = {str(one): rows_read(kernel, partial(page, *one)) for one in filters(kernel)}
    assert {one: rows for one, rows in read.items() if rows > FEW} == {}


# Asked by "hints" below, and by test_minutes.py.
ASKED_ELSEWHERE = ("hints of due orders", "counts of minutes")


def sweep(kernel: Kernel) -> None:
    """The other jobs of a sweep, after an hour in which sweeps went on."""
    sweep_for(kernel, 3601)
    jobs = sweep_jobs(None, may_rescue=lambda: True)
    there = [one for one in jobs if one.name not in ASKED_ELSEWHERE]
    assert len(there) == len(jobs) - len(ASKED_ELSEWHERE)
    assert [error for _, _, error in run_jobs(kernel, there) if error is not None] == []


QUESTIONS: dict[str, tuple[Callable[[Kernel], object], int]] = {
    "hints": (lambda kernel: due_orders(kernel, 50), FEW),
    "lanes": (due_lanes, FEW),
    "a batch of callbacks": (lambda kernel: claim_due(kernel, {LANE: 20}), FEW),
    "the sweep": (sweep, FEW),
    "a batch of pruning": (prune, 6 * FEW),
    "the sweep of what is paused": (hold_paused, FEW),
    "the count of what a caller has waiting": (lambda kernel: Pressure(kernel).check(1), FEW),
    "the longest wait": (waiting_longest, FEW),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("ahead", [-1, 86400], ids=["due", "due later"])
def test_stage_reads_few_rows_when_many_wait(
    kernel: Kernel, said: list[Said], question: str, ahead: int
) -> None:
    with kernel.write() as connection:
        make_due(connection, timedelta(seconds=ahead))
    if question.endswith("paused"):
        pause(kernel, host="elsewhere.example")
    ask, most = QUESTIONS[question]
    assert rows_read(kernel, lambda: ask(kernel)) <= most


@pytest.mark.parametrize(
    ("table", "index", "happening"),
    [
        ("kernel_orders", "ix_kernel_orders_finished_at", time_goes_by),
        ("kernel_deliveries", "ix_kernel_deliveries_order_id", people_look),
        ("kernel_attempts", "ix_kernel_attempts_delivery_id", people_look),
    ],
)
def test_scan_is_noticed_when_an_index_is_missing(
    kernel: Kernel, said: list[Said], table: str, index: str, happening: Callable[[Kernel], None]
) -> None:
    with without(kernel, table, index), listening(kernel) as found:
        happening(kernel)
    assert [wrong for one in found for wrong in complaints(one)] != []


def test_reading_is_noticed_when_an_index_is_missing(kernel: Kernel, said: list[Said]) -> None:
    with kernel.write() as connection:
        make_due(connection, timedelta(days=1))
    with without(kernel, "kernel_orders", "ix_kernel_orders_state_run_after"):
        assert rows_read(kernel, lambda: due_orders(kernel, 50)) > FEW


@contextmanager
def without(kernel: Kernel, table: str, index: str) -> Iterator[None]:
    """Have the server ignore an index, as if somebody had dropped it."""
    with kernel.engine.connect() as connection:
        connection.execute(text(f"ALTER TABLE {table} ALTER INDEX {index} IGNORED"))
        yield
        connection.execute(text(f"ALTER TABLE {table} ALTER INDEX {index} NOT IGNORED"))
