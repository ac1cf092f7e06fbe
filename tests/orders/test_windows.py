"""When orders begin: never before `not_before`, and not for the first time after `not_after`."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import event

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.errors import InvalidOrder, Retry
from kernel.formats.envelope import rfc3339
from kernel.formats.order_request import order_request
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.due import due_orders, due_soon
from kernel.orders.submit import submit
from kernel.orders.transitions import leave_running
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.maintenance.gates.windows import expire_orders, wake_orders
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import prune
from tests.support.factories import ANYBODY, rows
from tests.support.factories import order as stored

handlers = Handlers()


class Nothing(BaseModel):
    """No arguments."""


class OwnWindow(BaseModel):
    """A handler's own argument of this name."""

    not_before: str


@handlers.register("work", Nothing)
def work(run: Run, args: Nothing) -> dict[str, Any]:
    return {"began": rfc3339(run.now)}


@handlers.register("put_off", Nothing)
def put_off(run: Run, args: Nothing) -> dict[str, Any]:
    if run.number == 1:
        raise Retry(after=3600)
    return {}


@handlers.register("own", OwnWindow)
def own(run: Run, args: OwnWindow) -> dict[str, Any]:
    return {"not_before": args.not_before}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def at(kernel: Kernel, seconds: float) -> str:
    """The time on the wire that lies this far from the database's."""
    said = rfc3339(kernel.clock.now() + timedelta(seconds=seconds))
    assert said is not None
    return said


def expired(kernel: Kernel) -> Swept:
    swept = Swept()
    expire_orders(kernel, swept)
    return swept


def gates(kernel: Kernel) -> list[tuple[datetime | None, datetime | None]]:
    return [(one.opens_at, one.closes_at) for one in rows(kernel, GATES)]


def test_order_begins_when_its_window_opens_and_not_before(kernel: Kernel) -> None:
    order_id = order(kernel, "work", not_before=at(kernel, 600))
    assert execute(kernel, order_id) is None  # a hint that is early
    early = stored(kernel, order_id).run_after - kernel.clock.now()
    kernel.clock.shift(early.total_seconds() - 0.4)
    assert due_orders(kernel, 10) == []
    assert execute(kernel, order_id) is None  # by less than half a second, too
    assert stored(kernel, order_id).run == 0
    kernel.clock.shift(0.4)
    assert drain(kernel) == 2
    assert stored(kernel, order_id).state == "success"


def test_order_is_due_at_once_when_its_window_has_opened(kernel: Kernel) -> None:
    order_id = order(kernel, "work", not_before="2020-01-01T00:00:00Z")
    assert stored(kernel, order_id).run_after >= stored(kernel, order_id).created_at
    drain(kernel)
    assert stored(kernel, order_id).state == "success"


def test_order_that_opens_soon_is_found_ahead_of_its_time(kernel: Kernel) -> None:
    soon = order(kernel, "work", not_before=at(kernel, 4))
    order(kernel, "work", not_before=at(kernel, 60))
    order(kernel, "work")
    found = due_soon(kernel, 10, 5.0)
    assert list(found) == [soon]
    assert 0 < found[soon] <= 4


def test_order_expires_when_it_has_not_begun_by_the_end_of_its_window(kernel: Kernel) -> None:
    order_id = order(kernel, "work", not_before=at(kernel, 10), not_after=at(kernel, 20))
    kernel.clock.shift(20)
    # A worker that is up again first runs nothing of it.
    assert execute(kernel, order_id) is None
    assert due_orders(kernel, 10) == []
    assert stored(kernel, order_id).state == "pending"
    outcome = expired(kernel).failed[order_id]
    assert (outcome.state, outcome.error_code) == (OrderState.FAILED, "expired")
    drain(kernel)
    sent = kernel.transport.sent[0].json()
    assert (sent["status"], sent["data"]["error"]["code"]) == (-1, "expired")
    assert expired(kernel).failed == {}
    assert gates(kernel) == [(None, None)]


def test_order_whose_window_was_over_when_it_came_expires(kernel: Kernel) -> None:
    order_id = order(kernel, "work", not_after="2020-01-01T00:00:00Z")
    assert drain(kernel) == 2
    found = stored(kernel, order_id)
    assert (found.run, found.error_code) == (0, "expired")


def test_order_that_has_begun_goes_on_after_its_window(kernel: Kernel) -> None:
    order_id = order(kernel, "put_off", not_after=at(kernel, 60))
    drain(kernel)
    assert stored(kernel, order_id).run == 1
    kernel.clock.shift(3601)
    assert expired(kernel).failed == {}
    drain(kernel)
    assert stored(kernel, order_id).state == "success"


def test_order_that_was_claimed_and_not_begun_keeps_its_window(kernel: Kernel) -> None:
    order_id = order(kernel, "work", not_after=at(kernel, 60))
    claim(kernel, order_id)
    hand_back(kernel, order_id)
    assert stored(kernel, order_id).started_at is None
    kernel.clock.shift(60)
    assert execute(kernel, order_id) is None
    assert list(expired(kernel).failed) == [order_id]


def test_order_expires_when_its_window_ended_between_claim_and_begin(kernel: Kernel) -> None:
    order_id = order(kernel, "work", not_after=at(kernel, 60))
    claim(kernel, order_id)
    kernel.clock.shift(60)
    assert expired(kernel).failed == {}  # the window is seen once, and the order runs
    hand_back(kernel, order_id)
    assert stored(kernel, order_id).error_code == "expired"


def test_order_expires_when_it_is_handed_back_after_its_window_was_closed_though_not_late(
    kernel: Kernel,
) -> None:
    order_id = order(kernel, "work", not_after=at(kernel, 60))
    claim(kernel, order_id)
    kernel.clock.shift(60)
    assert expired(kernel).failed == {}
    kernel.clock.shift(-60)  # the statement began before, and waited for the row
    hand_back(kernel, order_id)
    kernel.clock.shift(60)
    assert list(expired(kernel).failed) == [order_id]


def test_order_expires_when_it_is_handed_back_as_its_window_is_closed(kernel: Kernel) -> None:
    if not kernel.dialect.is_remote:
        return  # a file has one writer at a time
    order_id = order(kernel, "work", not_after=at(kernel, 60))
    claim(kernel, order_id)

    def meanwhile(*_: Any) -> None:
        kernel.clock.shift(-60)
        hand_back(kernel, order_id)
        kernel.clock.shift(60)

    kernel.clock.shift(60)
    event.listen(kernel.engines.writing, "after_cursor_execute", meanwhile, once=True)
    assert expired(kernel).failed == {}  # it ran as the sweep looked
    assert stored(kernel, order_id).state == "pending"
    assert list(expired(kernel).failed) == [order_id]


def test_order_expires_when_its_window_ends_before_its_hand_back_is_committed(
    kernel: Kernel,
) -> None:
    if not kernel.dialect.is_remote:
        return
    order_id = order(kernel, "work", not_after=at(kernel, 60))
    claim(kernel, order_id)
    with kernel.write_session() as session:
        leave_running(kernel, session, (order_id, 1), NOT_BEGUN)
        kernel.clock.shift(60)
        assert expired(kernel).failed == {}
    assert list(expired(kernel).failed) == [order_id]


NOT_BEGUN = Exit(Why.NOT_BEGUN)
EXITS = [one for one in Why if one not in (Why.NOT_BEGUN, Why.BUG)]


@pytest.mark.parametrize("why", EXITS)
def test_order_whose_run_ended_goes_on_after_its_window_when_its_next_claim_is_handed_back(
    kernel: Kernel, why: Why
) -> None:
    order_id = order(kernel, "work", not_after=at(kernel, 60))
    claim(kernel, order_id)
    until = kernel.clock.now() + timedelta(seconds=90)
    hand_back(kernel, order_id, Exit(why, what="event:ready", until=until, put_off=True))
    kernel.clock.shift(3601)
    wake_orders(kernel, Swept())
    claim(kernel, order_id)
    hand_back(kernel, order_id, run=2)
    assert expired(kernel).failed == {}
    drain(kernel)
    assert stored(kernel, order_id).state == "success"


def claim(kernel: Kernel, order_id: str) -> None:
    with kernel.run_connection() as connection:
        assert Batch(kernel, connection, [order_id]).claim() is not None


def hand_back(kernel: Kernel, order_id: str, exit_: Exit = NOT_BEGUN, run: int = 1) -> None:
    with kernel.write_session() as session:
        leave_running(kernel, session, (order_id, run), exit_)


def test_cancelled_order_waits_for_nothing(kernel: Kernel) -> None:
    order_id = order(kernel, "work", not_before=at(kernel, 60), not_after=at(kernel, 90))
    assert cancel(kernel, 1, order_id) is OrderState.CANCELLED
    assert gates(kernel) == [(None, None)]
    kernel.clock.shift(100)
    assert expired(kernel).failed == {}
    assert stored(kernel, order_id).state == "cancelled"


def test_row_of_the_window_is_deleted_with_the_order(kernel: Kernel) -> None:
    order(kernel, "work", not_after=at(kernel, 60))
    drain(kernel)
    kernel.clock.shift(40 * 86_400)
    prune(kernel)
    assert gates(kernel) == []


def test_order_without_a_window_has_no_row_of_one(kernel: Kernel) -> None:
    order(kernel, "work", not_before=None, not_after=None)
    assert gates(kernel) == []


def test_repeat_finds_the_order_after_its_window(kernel: Kernel) -> None:
    members = {"select_tag": "work", "callback_url": None, "not_after": at(kernel, 60)}
    first = submit(kernel, ANYBODY, order_request(members, handlers), "key")
    kernel.clock.shift(100)
    again = submit(kernel, ANYBODY, order_request(members, handlers), "key")
    assert (again.order_id, again.replayed) == (first.order_id, True)


def test_handlers_own_argument_is_no_window(kernel: Kernel) -> None:
    order_id = order(kernel, "own", not_before="whenever it suits")
    drain(kernel)
    assert stored(kernel, order_id).state == "success"


@pytest.mark.parametrize(
    ("members", "pointer", "code"),
    [
        ({"not_before": "tomorrow"}, "/not_before", "invalid_time"),
        ({"not_after": 1_800_000_000}, "/not_after", "invalid_time"),
        ({"not_after": "2026-11-20T12:00:00"}, "/not_after", "invalid_time"),
        (
            {"not_before": "2026-11-20T12:00:00Z", "not_after": "2026-11-20T13:00:00+01:00"},
            "/not_after",
            "empty_window",
        ),
    ],
)
def test_windows_that_cannot_be_are_refused(
    members: dict[str, Any], pointer: str, code: str
) -> None:
    with pytest.raises(InvalidOrder) as refused:
        order_request({"select_tag": "work", "callback_url": None} | members, handlers)
    (found,) = refused.value.data["errors"]
    assert (found["pointer"], found["code"]) == (pointer, code)
