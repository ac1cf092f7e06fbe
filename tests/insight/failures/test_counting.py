"""Failures are counted by their kind: each run once, whenever the process is killed."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel
from sqlalchemy import update

from kernel.db.errors import DATABASE_ERRORS
from kernel.db.tables.audit import ACTS
from kernel.db.tables.operating.errors import ERRORS, HOURS
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS
from kernel.errors import Reject
from kernel.handlers import Handlers, Run
from kernel.insight.failures.counting import KEEP_HOURS, count_failures, forget_errors
from kernel.insight.failures.errors import resolve
from kernel.orders.ends.run_ends import fingerprint
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.bookkeeping.errors import count_errors
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import delete_orders
from tests.support.factories import make_order, rows
from tests.support.failures import BOOKED, PLACE, REFUSED, make_failure, make_refusal
from tests.support.interrupted import Interrupted

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Anything(BaseModel):
    """No argument is needed."""


def errors(kernel: Kernel) -> dict[str, Any]:
    """The rows of errors by fingerprint."""
    return {row.fingerprint: row for row in rows(kernel, ERRORS)}


def hours(kernel: Kernel) -> dict[datetime, int]:
    return {row.began_at: row.number for row in rows(kernel, HOURS)}


def test_failures_of_one_kind_are_one_error_with_its_first_its_last_and_its_hours(
    kernel: Kernel,
) -> None:
    first = make_failure(kernel, at=NOON)
    last = make_failure(kernel, at=NOON + 70 * MINUTE, message="no such city")
    again = make_failure(kernel, first, at=NOON + 30 * MINUTE)
    assert again == first  # its second run
    assert count_failures(kernel) == 3
    assert count_failures(kernel) == 0
    error = errors(kernel)[BOOKED]
    assert (error.number, error.order_id, error.run) == (3, last, 1)
    assert (error.first_seen, error.last_seen) == (NOON, NOON + 70 * MINUTE)
    assert (error.error_type, error.place, error.error_code) == (
        *("ValueError", PLACE, "internal_error"),
    )
    assert (error.is_open, error.is_refusal, error.new_at) == (True, False, NOON)
    assert hours(kernel) == {NOON: 2, NOON + 60 * MINUTE: 1}
    assert all(row.is_counted for row in rows(kernel, RUNS))


def test_failures_without_an_exception_are_of_one_kind_by_tag_and_code(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    registry = Handlers()

    @registry.register("book", Anything)
    def book(run: Run, _: Anything) -> NoReturn:
        raise Reject("no_room", "there is no room")

    @registry.register("divide", Anything)
    def divide(run: Run, _: Anything) -> NoReturn:
        run.session.connection()
        raise ZeroDivisionError

    kernel = make_kernel(database_url, registry)
    for tag in ("book", "book", "divide"):
        execute(kernel, make_order(kernel, select_tag=tag, args="{}"))
    count_errors(kernel, Swept())
    found = {
        (row.select_tag, row.error_type or row.error_code): row for row in rows(kernel, ERRORS)
    }
    assert found["book", "no_room"].number == 2
    assert found["book", "no_room"].is_refusal
    assert found["divide", "ZeroDivisionError"].place.endswith("divide")
    assert not found["divide", "ZeroDivisionError"].is_refusal


def test_run_that_lost_its_worker_is_of_the_kind_of_the_code_it_may_end_with(
    kernel: Kernel,
) -> None:
    none = dict.fromkeys(("error_code", "error_type", "place", "message", "traceback"))
    order_id = make_failure(kernel, how="died", **none)
    died = fingerprint("create_project", "worker_lost")
    with kernel.write() as connection:
        connection.execute(update(RUNS).values(fingerprint=died))
    count_failures(kernel)
    error = errors(kernel)[died]
    assert (error.error_code, error.is_refusal, error.order_id) == ("worker_lost", False, order_id)


def test_error_that_comes_again_after_it_was_resolved_is_open_and_new(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_failure(kernel, at=now - 30 * MINUTE)
    count_failures(kernel)
    resolve(kernel, BOOKED)
    make_failure(kernel, at=now - 20 * MINUTE)  # it was still to be counted
    count_failures(kernel)
    assert not errors(kernel)[BOOKED].is_open
    later, back = now + 10 * MINUTE, now + 5 * MINUTE
    make_failure(kernel, at=later)
    order_id = make_failure(kernel, at=back)
    count_failures(kernel)
    error = errors(kernel)[BOOKED]
    assert (error.is_open, error.new_at, error.number) == (True, back, 4)
    assert error.first_seen == now - 30 * MINUTE
    act = rows(kernel, ACTS)[-1]
    assert (act.verb, act.via, act.target) == ("error.reopen", "system", f"error {BOOKED}")
    assert order_id in act.after


def test_kind_is_a_refusal_only_while_all_of_it_are(kernel: Kernel) -> None:
    make_refusal(kernel)
    count_failures(kernel)
    assert errors(kernel)[REFUSED].is_refusal
    order_id = make_refusal(kernel)
    with kernel.write() as connection:
        connection.execute(update(RUNS).where(RUNS.c.order_id == order_id).values(how="bug"))
    count_failures(kernel)
    assert not errors(kernel)[REFUSED].is_refusal


def test_batches_go_on_until_none_is_left(kernel: Kernel) -> None:
    for _ in range(5):
        make_failure(kernel)
    assert [count_failures(kernel, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert errors(kernel)[BOOKED].number == 5


def test_each_run_is_counted_once_when_processes_count_at_once(kernel: Kernel) -> None:
    for _ in range(20):
        make_failure(kernel)
        make_refusal(kernel)
    at_once = Barrier(4)

    def count() -> None:
        at_once.wait()
        with suppress(*DATABASE_ERRORS):  # a deadlock: the rest is for the next sweep
            count_failures(kernel)

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while count_failures(kernel):
        pass
    assert {name: row.number for name, row in errors(kernel).items()} == {BOOKED: 20, REFUSED: 20}
    assert sum(row.number for row in rows(kernel, HOURS)) == 40


@pytest.mark.slow
def test_each_run_is_counted_once_whenever_the_process_is_killed(
    kernel: Kernel, database_url: str
) -> None:
    for _ in range(3):
        make_failure(kernel)
    make_refusal(kernel)
    with Interrupted(database_url, "sweep") as sweeps:
        number = 1
        while sweeps.killed(after=number):
            number += 1
    assert number > 5
    assert {name: row.number for name, row in errors(kernel).items()} == {BOOKED: 3, REFUSED: 1}
    assert sum(row.number for row in rows(kernel, HOURS)) == 4


def test_error_is_forgotten_when_its_orders_would_be(kernel: Kernel) -> None:
    now = kernel.clock.now()
    kept = timedelta(days=kernel.settings.retention_days)
    make_failure(kernel, at=now - kept - MINUTE)
    make_refusal(kernel, at=now - kept + 10 * MINUTE)
    count_failures(kernel)
    assert forget_errors(kernel) == 1
    assert list(errors(kernel)) == [REFUSED]
    assert {row.fingerprint for row in rows(kernel, HOURS)} <= {REFUSED}
    assert forget_errors(kernel) == 0


def test_hours_are_forgotten_after_two_weeks(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for back in (KEEP_HOURS + 30 * MINUTE * 3, KEEP_HOURS + 30 * MINUTE * 30, 2 * MINUTE):
        make_failure(kernel, at=now - back)
    count_failures(kernel)
    while len(hours(kernel)) > 1:
        before = len(hours(kernel))
        forget_errors(kernel)
        assert len(hours(kernel)) < before
    assert errors(kernel)[BOOKED].number == 3


def test_order_that_is_deleted_before_its_failure_is_counted_keeps_nothing(kernel: Kernel) -> None:
    order_id = make_failure(kernel)
    assert delete_orders(kernel, [order_id]) == 1
    assert count_failures(kernel) == 0
    assert rows(kernel, ERRORS) == []
    assert rows(kernel, ORDERS) == []
