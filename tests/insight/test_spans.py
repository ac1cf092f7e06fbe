"""The time that a run took, in lists, files and trends: without what an order waited afterwards."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from kernel.errors import Reject, Retry
from kernel.filters.orders import OrderFilter
from kernel.handlers import Handlers, Run, Wait
from kernel.insight.search.export import order_rows
from kernel.insight.search.spans import run_seconds
from kernel.insight.trends.minutes import MINUTE, count_minute, floor
from kernel.insight.trends.tallies import EVERYTHING, Tally
from kernel.orders.cancel import cancel
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order

handlers = Handlers()


class Does(BaseModel):
    """How its first run ends."""

    does: str


@handlers.register("work", Does)
def work(run: Run, args: Does) -> dict[str, Any] | Wait:
    if args.does == "wait":
        return Wait("approved")
    if args.does == "retry":
        raise Retry(after=3600)
    if args.does == "reject":
        raise Reject("no", "not this one")
    return {}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def began(kernel: Kernel, does: str) -> str:
    """Make an order and have it run once."""
    order_id = make_order(kernel, select_tag="work", args=f'{{"does":"{does}"}}')
    execute(kernel, order_id)
    return order_id


def ran(kernel: Kernel) -> float | None:
    """Return what a file of all orders, of which there is one, says of its run."""
    ((row,),) = order_rows(kernel, OrderFilter())
    seconds: float | None = row["run_seconds"]
    return seconds


def counted(kernel: Kernel, order_id: str) -> Tally:
    """Return the counts of the minute in which an order ended."""
    finished_at = order(kernel, order_id).finished_at
    assert finished_at is not None
    with kernel.read_session() as session:
        at = floor(finished_at)
        return count_minute(session, at, at + MINUTE)[EVERYTHING]


@pytest.mark.parametrize("does", ["wait", "retry"])
def test_run_time_is_not_told_when_an_order_is_cancelled_long_after_its_run(
    kernel: Kernel, does: str
) -> None:
    order_id = began(kernel, does)
    kernel.clock.shift(3000)
    cancel(kernel, None, order_id)
    assert order(kernel, order_id).state == "cancelled"
    assert (ran(kernel), run_seconds(order(kernel, order_id), kernel.clock.now())) == (None, None)
    found = counted(kernel, order_id)
    assert (found.finished, found.ran.percentile(0.5), found.queued.percentile(0.5)) == (
        1,
        None,
        None,
    )


@pytest.mark.parametrize(("does", "state"), [("work", "success"), ("reject", "failed")])
def test_run_time_is_told_when_a_run_ends_an_order(kernel: Kernel, does: str, state: str) -> None:
    order_id = began(kernel, does)
    assert order(kernel, order_id).state == state
    seconds, trend = ran(kernel), counted(kernel, order_id).ran.percentile(0.5)
    assert seconds is not None
    assert trend is not None
    assert seconds < 60


def test_run_time_of_an_older_release_is_told_where_a_run_has_succeeded(kernel: Kernel) -> None:
    now = kernel.clock.now()
    ended = {"run": 1, "run_after": now, "started_at": now, "finished_at": now}
    make_order(kernel, state="success", **ended)
    assert ran(kernel) == 0.0
