"""How many rows MariaDB looks at for what the stages ask: few, however large the tables are.

What it says of its plans stands in `conformance/test_plans.py`; its counters say what it did.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text

from bench.rows import make_due
from kernel.db.tables.deliveries import LANE_INDEX
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.lanes import Lane
from kernel.delivery.pauses import hold_paused, release_unpaused
from kernel.orders.backpressure import Pressure
from kernel.orders.cancel import cancel
from kernel.orders.due import due_orders, next_orders, waiting_longest
from kernel.orders.gates.keys import COUNTED, position_of
from kernel.orders.pages import LaneFilter, list_orders
from kernel.orders.submit import submit
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.prune import prune
from kernel.worker.maintenance.sweep import run_jobs, sweep_jobs
from tests.support.factories import ANYBODY, make_order, order, request, sweep_for
from tests.support.queries.filled import filled_mariadb, without
from tests.support.queries.line import line_up
from tests.support.queries.plans import FEW
from tests.support.queries.statements import CALLER, HAPPENINGS, filters
from tests.support.servers import MariaDB

# Orders that wait behind one ordering key.
LONG = 10_000
LANE = Lane(True, CALLER, "https://receiver-2.example:443")


@pytest.fixture(scope="module")
def kernel(mariadb: MariaDB) -> Iterator[Kernel]:
    """A kernel on a few thousand rows, on which everything has happened once."""
    with filled_mariadb(mariadb) as kernel:
        for happening in HAPPENINGS:
            happening(kernel)
        line_up(kernel, CALLER, LONG, "a long line")
        yield kernel


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


def test_page_reads_few_rows_whatever_its_filter_is(kernel: Kernel) -> None:
    def page(caller_id: int | None, wanted: LaneFilter) -> None:
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


def turns(kernel: Kernel) -> None:
    """What a free process takes while others run something."""
    make_order(kernel, state="running")
    next_orders(kernel, 10, CALLER)


QUESTIONS: dict[str, tuple[Callable[[Kernel], object], int]] = {
    "hints": (lambda kernel: due_orders(kernel, 50), FEW),
    "lanes": (due_lanes, FEW),
    "a batch of callbacks": (lambda kernel: claim_due(kernel, {LANE: 20}), FEW),
    "the sweep": (sweep, FEW),
    "a batch of pruning": (prune, 6 * FEW),
    "the sweep of what is paused": (hold_paused, FEW),
    "the sweep of what no pause holds": (release_unpaused, FEW),
    "the count of what a caller has waiting": (lambda kernel: Pressure(kernel).check(1), FEW),
    "the longest wait": (waiting_longest, FEW),
    "turns": (turns, FEW),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("ahead", [-1, 86400], ids=["due", "due later"])
def test_stage_reads_few_rows_when_many_wait(kernel: Kernel, question: str, ahead: int) -> None:
    with kernel.write() as connection:
        make_due(connection, timedelta(seconds=ahead))
    if question.endswith("paused"):
        pause(kernel, Subject(host="elsewhere.example"))
    ask, most = QUESTIONS[question]
    assert rows_read(kernel, lambda: ask(kernel)) <= most


def test_reading_is_noticed_when_an_index_is_missing(kernel: Kernel) -> None:
    with kernel.write() as connection:
        make_due(connection, timedelta(days=1))
    with without(kernel, LANE_INDEX):
        assert rows_read(kernel, lambda: due_lanes(kernel)) > FEW


def test_turn_reads_few_rows_when_many_wait_for_it(kernel: Kernel) -> None:
    """A submit to the end of a long line, the end of the order before it, a cancel within it."""
    ids = line_up(kernel, 1, LONG, "another long line")

    def look() -> None:
        with kernel.read_session() as session:
            position_of(session, ids[-1])

    keyed = replace(request(), ordering_key="another long line")
    assert rows_read(kernel, lambda: submit(kernel, ANYBODY, keyed)) <= FEW
    assert rows_read(kernel, lambda: execute(kernel, ids[0])) <= FEW
    assert rows_read(kernel, lambda: cancel(kernel, 1, ids[LONG // 2])) <= FEW
    assert rows_read(kernel, look) <= 3 * COUNTED + FEW
    assert order(kernel, ids[1]).state == "pending"
