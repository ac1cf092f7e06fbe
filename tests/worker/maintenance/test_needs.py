"""Which jobs of a sweep have a turn: those that have something to do, told by one question."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from kernel.callers.audit.acts import BY_SYSTEM
from kernel.db.tables.operating.errors import ERRORS, HOURS
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.operating.trends import MARKS
from kernel.db.tables.service import ProcessMetrics, ServiceKey
from kernel.insight.workers import Heartbeat
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import FINGERPRINTS
from kernel.worker.maintenance.job import idle_jobs
from kernel.worker.maintenance.sweep import sweep_jobs
from tests.support.factories import make_order

DAY = timedelta(days=1)
Fact = Callable[[Kernel, datetime], object]


def put(table: Any, **values: Any) -> Callable[[Kernel, datetime], None]:
    """Insert a row; a value that is a function is given the time."""

    def do(kernel: Kernel, now: datetime) -> None:
        row = {name: one(now) if callable(one) else one for name, one in values.items()}
        with kernel.write() as connection:
            connection.execute(insert(table).values(row))

    return do


def failed(kernel: Kernel, now: datetime) -> None:
    order_id = make_order(kernel, state="failed", finished_at=now)
    row = {"order_id": order_id, "run": 1, "ended_at": now, "how": "bug", "is_counted": False}
    put(RUNS, **row, fingerprint="f" * 16)(kernel, now)


def error(age: timedelta) -> Fact:
    row = {"fingerprint": "f" * 16, "select_tag": "x", "is_refusal": False, "number": 1, "run": 1}
    row |= {"order_id": "1", "is_open": True}
    seen = {one: lambda now: now - age for one in ("first_seen", "last_seen", "new_at")}
    return put(ERRORS, **row, **seen)


def hour(age: timedelta) -> Fact:
    return put(HOURS, fingerprint="f" * 16, began_at=lambda now: now - age, number=1)


def beat(age: timedelta, *broken: Any) -> Fact:
    def do(kernel: Kernel, now: datetime) -> None:
        with kernel.write_session() as session:
            Heartbeat("worker", now).note(session, now - age, [], broken)

    return do


def mark(age: timedelta, kind: str, *, is_open: bool = False) -> Fact:
    ended = None if is_open else (lambda now: now)
    return put(MARKS, kind=kind, subject="x", began_at=lambda now: now - age, ended_at=ended)


def counts(row_id: str, age: timedelta) -> Fact:
    return put(ProcessMetrics, id=row_id, written_at=lambda now: now - age, series="[]")


def act(kernel: Kernel, _: datetime) -> None:
    with kernel.write_session() as session:
        BY_SYSTEM.record(session, "error.reopen", "error x")


def act_of_a_minute(kernel: Kernel, now: datetime) -> None:
    act(kernel, now)
    kernel.clock.shift(61)


MINUTES = timedelta(minutes=11)
KEY = put(ServiceKey, id=FINGERPRINTS, secret="x", created_at=lambda now: now)


@pytest.mark.parametrize(
    ("fact", "woken"),
    [
        (lambda *_: None, set()),
        (lambda kernel, _: make_order(kernel), {"hints of due orders", "orders of unknown tags"}),
        (lambda kernel, _: make_order(kernel, state="running"), {"rescue"}),
        (lambda kernel, now: make_order(kernel, state="success", finished_at=now), set()),
        (failed, {"errors"}),
        (error(29 * DAY), set()),
        (error(31 * DAY), {"errors"}),
        (hour(14 * DAY), set()),
        (hour(16 * DAY), {"errors"}),
        (beat(timedelta()), set()),
        (beat(timedelta(), "https://x.example#1"), {"marks of breakers"}),
        (beat(MINUTES), {"silent processes"}),
        (mark(DAY, "start"), set()),
        (mark(DAY, "breaker", is_open=True), {"marks of breakers"}),
        (mark(DAY, "breaker"), set()),
        (mark(36 * DAY, "start"), {"marks of breakers"}),
        (counts("past", MINUTES), set()),
        (counts("other", timedelta()), set()),
        (counts("other", MINUTES), {"metrics of ended processes"}),
        (act, set()),
        (act_of_a_minute, {"seals of acts"}),
        (KEY, {"secrets of ended orders"}),
    ],
)
def test_job_has_a_turn_while_there_is_something_to_do(
    kernel: Kernel, fact: Fact, woken: set[str]
) -> None:
    jobs = sweep_jobs(None, may_rescue=lambda: True)
    fact(kernel, kernel.clock.now())
    has_turn = {one.name for one in jobs} - idle_jobs(kernel, jobs)
    assert has_turn - {one.name for one in jobs if not one.needs} == woken


def test_acts_are_looked_through_for_an_hour_after_their_seal(kernel: Kernel) -> None:
    """One that began before them may be committed after."""
    jobs = sweep_jobs(None, may_rescue=lambda: True)
    act_of_a_minute(kernel, kernel.clock.now())
    for one in jobs:
        if one.name == "seals of acts":
            one.run(kernel, None)  # type: ignore[arg-type]
    assert "seals of acts" not in idle_jobs(kernel, jobs)
    kernel.clock.shift(3600)
    assert "seals of acts" in idle_jobs(kernel, jobs)
