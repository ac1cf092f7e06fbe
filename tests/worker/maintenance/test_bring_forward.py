"""The database's clock was an hour ahead and is set right: nothing is late for that."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from kernel import Handlers, Run, Wait
from kernel.bulk.progress import LEASE, claim
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.gates import GATES
from kernel.db.tables.limits import LINES
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.receivers import RECEIVERS
from kernel.delivery.attempt import PutOff, interrupted, put_off
from kernel.delivery.claim import DueDelivery, claim_due, due_lanes, longest_claim
from kernel.delivery.outgoing.gates import Pace
from kernel.delivery.outgoing.rate import take_turn
from kernel.delivery.record import record
from kernel.errors import Retry
from kernel.orders.due import due_orders
from kernel.orders.gates.events import Told, tell
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import RetryIn
from kernel.worker.maintenance import bring_forward
from kernel.worker.maintenance.bring_forward import BringForward
from kernel.worker.maintenance.job import Swept
from tests.support import bulk
from tests.support.factories import make_delivery, make_order, order, rows
from tests.support.handlers.misbehaving import Named

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
handlers = Handlers()


@handlers.register("does", Named)
def does(run: Run, args: Named) -> Any:
    """Do what the order's name says, once."""
    if run.number > 1:
        return {}
    if args.name == "retry":
        raise Retry(after=60)
    if args.name == "retry in hours":
        raise Retry(after=3 * HOUR.total_seconds())
    if args.name == "breaks":
        raise ConnectionError("gone")
    return Wait("approved", until=run.now + MINUTE)


@handlers.register("paced", Named, rate="1/m")
def paced(run: Run, args: Named) -> dict[str, Any]:
    """Do nothing, once a minute."""
    return {}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    """A kernel with these handlers, whose database's clock is an hour ahead."""
    kernel = make_kernel(database_url, handlers)
    kernel.clock.shift(HOUR.total_seconds())
    return kernel


def set_right(kernel: Kernel) -> None:
    """Set the clock back by an hour, and have two processes look what that has made late.

    Both have seen it, and neither has swept before.
    """
    kernel.clock.now()
    kernel.clock.shift(-HOUR.total_seconds())
    kernel.clock.heard(kernel.clock.now() - HOUR, time.monotonic())  # as if it had been the other's
    kernel.clock.sync()
    for _ in range(2):
        BringForward().run(kernel, Swept())


def has_run(kernel: Kernel, name: str, tag: str = "does") -> str:
    """An order of which a run has ended, or that was found to be early."""
    order_id = make_order(kernel, select_tag=tag, args=f'{{"name":"{name}"}}')
    execute(kernel, order_id)
    return order_id


def is_due_in(kernel: Kernel, order_id: str) -> float:
    """For how many seconds an order waits still, if it is pending."""
    found = order(kernel, order_id)
    assert found.state == "pending"
    return (found.run_after - kernel.clock.now()).total_seconds()


def test_order_that_its_handler_put_off_waits_for_as_long_as_it_said(kernel: Kernel) -> None:
    order_id = has_run(kernel, "retry")
    set_right(kernel)
    assert 50 < is_due_in(kernel, order_id) <= 60


def test_order_that_was_put_off_for_longer_than_the_step_waits_longer_by_it(kernel: Kernel) -> None:
    order_id = has_run(kernel, "retry in hours")
    set_right(kernel)
    assert 3.9 * 3600 < is_due_in(kernel, order_id) <= 4 * 3600


def test_order_that_was_put_off_before_the_clock_was_set_keeps_its_time(kernel: Kernel) -> None:
    kernel.clock.shift(-HOUR.total_seconds())
    order_id = has_run(kernel, "retry")
    kernel.clock.shift(HOUR.total_seconds())
    set_right(kernel)
    assert 50 < is_due_in(kernel, order_id) <= 60


def test_order_whose_run_broke_waits_for_as_long_as_that_takes(kernel: Kernel) -> None:
    order_id = has_run(kernel, "breaks")
    if order(kernel, order_id).state == "pending":
        set_right(kernel)
        assert is_due_in(kernel, order_id) <= 60


def test_order_goes_on_that_was_woken_meanwhile(kernel: Kernel) -> None:
    kernel.clock.shift(-HOUR.total_seconds())
    order_id = has_run(kernel, "wait")
    kernel.clock.shift(HOUR.total_seconds())
    tell(kernel, order_id, Told("approved"))
    set_right(kernel)
    assert due_orders(kernel, 10) == [order_id]


def test_order_that_waits_until_a_moment_does_so_from_now(kernel: Kernel) -> None:
    order_id = has_run(kernel, "wait")
    set_right(kernel)
    (gate,) = rows(kernel, GATES)
    assert order(kernel, order_id).state == "waiting"
    assert timedelta() < gate.wakes_at - kernel.clock.now() <= MINUTE


def test_order_whose_turn_was_set_waits_for_a_turn_of_its_rate(kernel: Kernel) -> None:
    first, second = has_run(kernel, "a", "paced"), has_run(kernel, "b", "paced")
    assert (order(kernel, first).state, order(kernel, second).state) == ("success", "pending")
    set_right(kernel)
    assert execute(kernel, second) is not None
    assert 0 < is_due_in(kernel, second) <= 60
    (line,) = rows(kernel, LINES)
    assert line.free_at <= kernel.clock.now() + MINUTE


def test_order_keeps_its_turn_when_the_clock_was_not_set(kernel: Kernel) -> None:
    turn = [has_run(kernel, name, "paced") for name in "ab"][1]
    before = order(kernel, turn).run_after
    BringForward().run(kernel, Swept())
    assert order(kernel, turn).run_after == before


def test_order_with_a_window_waits_until_it_opens(kernel: Kernel) -> None:
    opens = kernel.clock.now() + HOUR
    order_id = make_order(kernel, select_tag="does", not_before=opens, run_after=opens)
    set_right(kernel)
    assert order(kernel, order_id).run_after == opens


def test_order_whose_window_was_open_by_the_wrong_clock_waits_until_it_opens(
    kernel: Kernel,
) -> None:
    """Its hint came after the clock was set right; a wait's end had made the other one due."""
    at, opens = kernel.clock.now(), kernel.clock.now() - HOUR + MINUTE
    window = {"select_tag": "does", "not_before": opens}
    order_ids = [
        make_order(kernel, **window, created_at=at, run_after=at),
        make_order(kernel, **window, created_at=at, run_after=at + SECOND),
    ]
    kernel.clock.shift(-HOUR.total_seconds())
    for order_id in order_ids:
        assert execute(kernel, order_id) is None
    kernel.clock.shift(HOUR.total_seconds())
    set_right(kernel)
    assert [order(kernel, one).run_after for one in order_ids] == [opens, opens]
    kernel.clock.shift(MINUTE.total_seconds())
    assert execute(kernel, order_ids[0]) is not None


def test_order_of_an_older_release_keeps_its_time(kernel: Kernel) -> None:
    later = kernel.clock.now() + HOUR
    order_id = make_order(kernel, select_tag="does", run=1, run_after=later)
    set_right(kernel)
    assert order(kernel, order_id).run_after == later


# ---- callbacks


def claimed(kernel: Kernel) -> DueDelivery:
    """Make a callback and claim it."""
    make_delivery(kernel)
    (due,) = claim_due(kernel, dict.fromkeys(due_lanes(kernel), 1)).deliveries
    return due


def next_in(kernel: Kernel) -> float:
    """In how many seconds the callback is due."""
    (found,) = rows(kernel, DELIVERIES)
    return float((found.next_attempt_at - kernel.clock.now()).total_seconds())


@pytest.mark.parametrize("pause", [timedelta(), MINUTE])
def test_callback_waits_for_its_next_attempt_as_long_as_it_was_to(
    kernel: Kernel, pause: timedelta
) -> None:
    end = interrupted(kernel, claimed(kernel), 1.0)
    record(kernel, [replace(end, verdict=RetryIn(pause))])
    set_right(kernel)
    assert pause.total_seconds() - 10 < next_in(kernel) <= pause.total_seconds() + 1


def test_callback_is_tried_again_soon_that_was_put_off(kernel: Kernel) -> None:
    end = put_off(kernel, claimed(kernel))
    assert isinstance(end.verdict, PutOff)
    record(kernel, [end])
    set_right(kernel)
    assert next_in(kernel) <= 5 * 60


def test_claim_of_a_process_that_died_meanwhile_runs_out_in_its_time(kernel: Kernel) -> None:
    claimed(kernel)
    set_right(kernel)
    assert 0 < next_in(kernel) <= longest_claim(kernel).total_seconds()


def test_receivers_rate_allows_an_attempt_again(kernel: Kernel, receiver_id: int) -> None:
    pace = Pace(spacing=1.0, burst=5)
    assert [take_turn(kernel, receiver_id, pace).wait for _ in range(5)] == [0.0] * 5
    set_right(kernel)
    assert take_turn(kernel, receiver_id, pace).wait <= 1.0


@pytest.fixture
def receiver_id(kernel: Kernel) -> int:
    """The id of a receiver."""
    with kernel.write() as connection:
        values = {"caller_id": 1, "name": "desk", "url": "https://receiver.example", "origin": ""}
        connection.execute(insert(RECEIVERS).values(**values, created_at=kernel.clock.sql()))
        return int(connection.scalar(select(RECEIVERS.c.id)) or 0)


# ---- bulk acts


@pytest.mark.parametrize("is_held", [True, False])
def test_bulk_act_goes_on_that_was_held_or_rested_meanwhile(kernel: Kernel, is_held: bool) -> None:
    job_id = bulk.begun(kernel, "cancel", state="pending")
    if is_held:
        assert claim(kernel, "gone", job_id) is not None
    set_right(kernel)
    if is_held:
        assert claim(kernel, "mine", job_id) is None
        kernel.clock.shift(LEASE.total_seconds() + 1)
    assert claim(kernel, "mine", job_id) is not None


def test_all_is_looked_at_once_with_each_clock(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(
        bring_forward,
        "bring_orders_forward",
        lambda _: looked.append(1) or len(looked) % 2 * 10_000,
    )
    job = BringForward()
    kernel.clock.now()
    for _ in range(4):
        job.run(kernel, Swept())
    assert len(looked) == 2  # the first left some
    kernel.clock.heard(kernel.clock.now() + HOUR, 0.0)
    job.run(kernel, Swept())
    assert len(looked) == 3


def test_what_has_changed_since_it_was_read_is_left_alone(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = has_run(kernel, "retry")
    kernel.clock.shift(-HOUR.total_seconds())
    write = kernel.write

    def first_changed() -> Any:
        with write() as connection:
            connection.execute(update(ORDERS).values(run_after=NOON))
        return write()

    monkeypatch.setattr(kernel, "write", first_changed)
    BringForward().run(kernel, Swept())
    assert order(kernel, order_id).run_after == NOON
