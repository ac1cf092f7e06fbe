"""The database's time in statements, and what a process makes of what it has heard of it."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import literal_column, select

from kernel.db.clock import Clock, read_clock
from kernel.db.tables.orders import ORDERS
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import ANYBODY, make_order, order, request

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def told(kernel: Kernel, plus: timedelta = timedelta()) -> datetime:
    """The time that a statement of this kernel has."""
    with kernel.read_session() as session:
        return session.scalars(select(kernel.clock.sql(plus))).one()


def wrong_by_an_hour(kernel: Kernel, hours: int) -> None:
    """Have the kernel believe a time that the database's clock had before it was set."""
    wrong = read_clock(kernel.engine) + hours * HOUR
    kernel.clock = Clock(lambda: wrong)
    kernel.clock.now()


@pytest.mark.parametrize("plus", [timedelta(), HOUR, -HOUR, timedelta(days=-30)])
def test_statement_tells_the_databases_time_and_an_offset(kernel: Kernel, plus: timedelta) -> None:
    assert abs(told(kernel, plus) - plus - read_clock(kernel.engine)) < timedelta(seconds=5)


def test_statement_moves_when_a_test_moves_the_clock(kernel: Kernel) -> None:
    kernel.clock.shift(3600)
    assert timedelta(minutes=59) < told(kernel) - read_clock(kernel.engine) < timedelta(minutes=61)


def test_time_of_a_statement_is_stored_as_every_other_time(kernel: Kernel) -> None:
    make_order(kernel, started_at=T0)
    written = literal_column("CAST(created_at AS CHAR(40)), CAST(started_at AS CHAR(40))")
    with kernel.read_session() as session:
        made, usual = session.execute(select(written).select_from(ORDERS)).one()
    if "postgresql" in kernel.dialect.names:  # a type, not a text; it leaves zeros at the end out
        made, usual = made.partition(".")[0], usual.partition(".")[0].strip()
    assert re.sub(r"\d", "0", made) == re.sub(r"\d", "0", usual)


@pytest.mark.parametrize("hours", [1, -1])
def test_order_is_accepted_at_the_databases_time_when_the_process_believes_another(
    kernel: Kernel, hours: int
) -> None:
    wrong_by_an_hour(kernel, hours)
    found = order(kernel, submit(kernel, ANYBODY, request()).order_id)
    assert found.run_after == found.created_at
    assert abs(found.created_at - read_clock(kernel.engine)) < timedelta(minutes=1)


def test_clock_is_steady_for_as_long_as_readings_agree() -> None:
    clock = Clock(lambda: T0)
    assert not clock.is_steady_for(0)
    clock.now()
    clock.heard(clock.now(), time.monotonic())
    assert clock.is_steady_for(0)
    assert not clock.is_steady_for(60)


@pytest.mark.parametrize("step", [HOUR, -HOUR, timedelta(seconds=2), timedelta(seconds=-2)])
def test_clock_is_not_steady_when_the_databases_was_set(step: timedelta) -> None:
    clock = Clock(lambda: T0)
    first, steady_since = clock.now(), clock.steady_since
    clock.heard(first + step, time.monotonic())
    assert clock.steady_since != steady_since
    assert abs(clock.now() - first - step) < timedelta(seconds=1)


def test_clock_is_steady_when_an_answer_was_long_under_way() -> None:
    clock = Clock(lambda: T0)
    clock.heard(T0, time.monotonic() - 30)
    steady_since = clock.steady_since
    clock.heard(T0 + timedelta(seconds=29), time.monotonic() - 30)
    assert clock.steady_since == steady_since


def test_time_is_not_ahead_when_the_server_stood_still_before_it_answered() -> None:
    clock = Clock(lambda: T0)
    clock.now()
    clock.heard(T0, time.monotonic() - 5)
    assert clock.now() < T0 + timedelta(seconds=1)


def test_time_is_never_behind_what_was_heard(kernel: Kernel) -> None:
    sent = time.monotonic()
    heard = told(kernel)
    kernel.clock.heard(heard, sent)
    assert kernel.clock.now() >= heard


@pytest.mark.parametrize("hours", [1, -1])
def test_order_begins_after_it_was_accepted_when_the_worker_believes_another_time(
    kernel: Kernel, hours: int
) -> None:
    order_id = submit(kernel, ANYBODY, request()).order_id
    wrong_by_an_hour(kernel, hours)
    assert execute(kernel, order_id) is not None
    found = order(kernel, order_id)
    assert found.started_at is not None
    assert found.finished_at is not None
    assert found.created_at <= found.started_at
    # SQLite has whole milliseconds.
    assert found.started_at <= found.finished_at + timedelta(milliseconds=1)
    assert abs(found.finished_at - found.created_at) < timedelta(minutes=1)
