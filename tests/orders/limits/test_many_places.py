"""A limit with many values at which orders wait: a sweep puts some places in order, then others."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field

from kernel.db.tables.limits import SLOTS
from kernel.handlers import Handlers, Run
from kernel.orders.gates.limits.known import Place
from kernel.orders.gates.limits.lining_up import settle, waited_for
from kernel.runs import claim
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from kernel.worker.maintenance.gates import limits
from kernel.worker.maintenance.job import Swept
from tests.support.factories import rows


class Work(BaseModel):
    """For whom."""

    customer: str


class Shift(BaseModel):
    """For whom, said or made of the region."""

    region: str = ""
    customer: str = Field(default_factory=lambda data: {"eu": "e", "us": "u"}[data["region"]])


def work(run: Run, args: Any) -> dict[str, Any]:
    """Do nothing."""
    return {}


@pytest.fixture
def kernel(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Kernel:
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    handlers = Handlers()
    handlers.register("daily", Work, rate="1/d", per="customer")(work)
    handlers.register("shift", Shift, concurrency=1, per="customer")(work)
    return make_kernel(database_url, handlers)


def lined_up(kernel: Kernel, customers: str) -> list[Place]:
    """For each customer one order has begun, one has its turn and one waits."""
    list(execute_each(kernel, [order(kernel, "daily", customer=one) for one in customers * 3]))
    return [Place("daily", one) for one in sorted(customers)]


def test_places_where_orders_wait_are_read_some_at_a_time(kernel: Kernel) -> None:
    places = lined_up(kernel, "dAb-a")
    assert waited_for(kernel, None, 10) == places
    assert waited_for(kernel, None, 2) == places[:2]
    assert waited_for(kernel, places[1], 2) == places[2:4]
    assert waited_for(kernel, places[3], 2) == places[4:]
    assert waited_for(kernel, places[4], 2) == []


def test_sweep_puts_some_places_in_order_and_the_next_one_the_others(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, seen = lined_up(kernel, "abcde"), list[Place]()

    def settled(kernel: Kernel, place: Place) -> Any:
        seen.append(place)
        return settle(kernel, place)

    monkeypatch.setattr(limits, "settle", settled)
    monkeypatch.setattr(limits, "PLACES", 2)
    job = limits.SettleLimits()
    for together in (places[:2], places[2:4], places[4:], places[:2]):
        seen.clear()
        job.run(kernel, Swept())
        assert seen == together


def test_order_runs_when_its_place_is_made_of_the_other_arguments(kernel: Kernel) -> None:
    ids = [order(kernel, "shift", region=one) for one in ("eu", "us", "eu")]
    ends = list(execute_each(kernel, ids))
    assert [one.outcome and one.outcome.state for one in ends] == ["success"] * 3
    assert {row.value for row in rows(kernel, SLOTS)} == {"e", "u"}
