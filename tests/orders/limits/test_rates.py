"""A tag's rate: orders never begin closer together than it says, and early ones cost nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import event

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.limits import LINES, SLOTS
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.orders.ends.outbox import RunEnd
from kernel.orders.gates.limits.lining_up import forget_idle
from kernel.runs import claim
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from tests.support.factories import order as stored
from tests.support.factories import rows

handlers = Handlers()
MINUTE = timedelta(minutes=1)


class Work(BaseModel):
    """For whom."""

    customer: int | None = None


def work(run: Run, args: Work) -> dict[str, Any]:
    """Do nothing."""
    return {}


handlers.register("paced", Work, rate="6/m")(work)
handlers.register("each", Work, rate="6/m", per="customer")(work)
handlers.register("both", Work, rate="6/m", concurrency=1)(work)


@pytest.fixture
def kernel(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Kernel:
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    return make_kernel(database_url, handlers)


def free_at(kernel: Kernel) -> datetime:
    (line,) = rows(kernel, LINES)
    found: datetime = line.free_at
    return found


@pytest.mark.parametrize("tag", ["paced", "both"])
def test_rate_is_never_exceeded_over_any_window(kernel: Kernel, tag: str) -> None:
    ids = [order(kernel, tag) for _ in range(8)]
    began: list[datetime] = []
    for _ in range(60):
        drain(kernel)
        # What the line holds is the moment of the last beginning, and a tenth of a minute.
        if not began or free_at(kernel) - MINUTE / 6 > began[-1]:
            began.append(free_at(kernel) - MINUTE / 6)
        if stored(kernel, ids[-1]).state == "success":
            break
        kernel.clock.shift(3.7)
    assert [stored(kernel, one).state for one in ids] == ["success"] * len(ids)
    assert len(began) == len(ids)
    windows = [sum(start <= one < start + MINUTE for one in began) for start in began]
    assert max(windows) <= 6
    # In order of acceptance, and none of it counts against an order.
    starts = [stored(kernel, one).started_at for one in ids]
    assert starts == sorted(starts, key=lambda one: (one is None, one))
    assert {(stored(kernel, one).run, stored(kernel, one).retries) for one in ids} == {(1, 0)}


def test_early_order_is_due_when_it_may_begin(kernel: Kernel) -> None:
    ids = [order(kernel, "paced") for _ in range(3)]
    ends = list(execute_each(kernel, ids))
    assert [end.order_id for end in ends] == ids[:2]
    assert 0 < (ends[1].again_in or 0) <= 10
    second, third = stored(kernel, ids[1]), stored(kernel, ids[2])
    assert (second.state, second.run_after, second.run) == ("pending", free_at(kernel), 0)
    assert third.state == "waiting"
    assert [one.waiting_for for one in rows(kernel, GATES)] == ["limit:paced"]
    kernel.clock.shift(10.5)
    ends = list(execute_each(kernel, ids))
    # The next one is to be hinted then, and not before.
    assert [(end.order_id, end.outcome is not None) for end in ends] == [
        (ids[2], False),
        (ids[1], True),
    ]
    assert stored(kernel, ids[2]).run_after == free_at(kernel)


def test_new_order_does_not_overtake_one_whose_turn_it_is(kernel: Kernel) -> None:
    first, second = order(kernel, "paced"), order(kernel, "paced")
    list(execute_each(kernel, [first, second]))
    kernel.clock.shift(10.5)
    third = order(kernel, "paced")
    assert execute(kernel, third) is None
    assert stored(kernel, third).state == "waiting"
    assert execute(kernel, second) is not None


def test_rate_holds_for_each_value_by_itself(kernel: Kernel) -> None:
    ids = [order(kernel, "each", customer=one) for one in (1, 2, 1, 3)]
    drain(kernel)
    states = [stored(kernel, one).state for one in ids]
    assert states == ["success", "success", "pending", "success"]
    assert {line.value for line in rows(kernel, LINES)} == {"1", "2", "3"}


def test_place_that_is_idle_is_kept_when_an_order_begins_there_meanwhile(kernel: Kernel) -> None:
    assert execute(kernel, order(kernel, "each", customer=1))
    kernel.clock.shift(2 * 86_400)
    late, next_ = (order(kernel, "each", customer=1) for _ in range(2))
    engine, seen = kernel.engines.single, list[str]()

    def begin(_: Any, __: Any, statement: str, *___: Any) -> None:
        """After the search among the slots, which comes last."""
        if "kernel_slots" in statement and "JOIN" in statement and not seen:
            seen.append(statement)
            assert execute(kernel, late)

    event.listen(engine, "after_cursor_execute", begin)
    forget_idle(kernel, None, 10)
    event.remove(engine, "after_cursor_execute", begin)
    assert seen
    execute(kernel, next_)
    assert (stored(kernel, next_).state, stored(kernel, next_).run) == ("pending", 0)


def test_turn_of_a_cancelled_order_is_given_to_the_next(kernel: Kernel) -> None:
    ids = [order(kernel, "both") for _ in range(3)]
    list(execute_each(kernel, ids))
    ends: list[RunEnd] = []
    assert cancel(kernel, 1, ids[1], ends=ends) is OrderState.CANCELLED
    assert [end.woken for end in ends] == [(ids[2],)]
    assert stored(kernel, ids[2]).run_after == free_at(kernel)
    assert [slot.order_id for slot in rows(kernel, SLOTS) if slot.run] == [ids[2]]
    kernel.clock.shift(10.5)
    drain(kernel)
    assert stored(kernel, ids[2]).state == "success"
