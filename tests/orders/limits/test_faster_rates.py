"""A rate that is raised or taken away: the order that was put off under the old one is due too."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from kernel.db.tables.limits import LINES
from kernel.handlers import Handlers, Run
from kernel.orders.gates.limits import known
from kernel.orders.gates.limits.changes import Change, clear_limit, set_limit
from kernel.runs import claim
from kernel.runs.execute import execute_each
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.maintenance.gates.limits import SettleLimits
from kernel.worker.maintenance.job import Swept
from tests.support.factories import order as stored
from tests.support.factories import rows


class Work(BaseModel):
    """Nothing."""


def work(run: Run, args: Work) -> dict[str, Any]:
    """Do nothing."""
    return {}


@pytest.fixture
def kernel(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Kernel:
    monkeypatch.setattr(known, "KNOWN_SECONDS", 0.0)
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    handlers = Handlers()
    handlers.register("hourly", Work, rate="1/h")(work)
    handlers.register("both", Work, rate="1/h", concurrency=1)(work)
    handlers.register("free", Work)(work)
    return make_kernel(database_url, handlers)


def lined_up(kernel: Kernel, tag: str) -> list[str]:
    """One order has begun, the next has its turn in an hour, and two wait behind it."""
    ids = [order(kernel, tag) for _ in range(4)]
    list(execute_each(kernel, ids))
    assert [stored(kernel, one).state for one in ids] == [
        *("success", "pending", "waiting", "waiting"),
    ]
    return ids


def settled(kernel: Kernel) -> Swept:
    swept = Swept()
    SettleLimits().run(kernel, swept)
    return swept


def late(kernel: Kernel, order_id: str) -> float:
    """In how many seconds an order is due."""
    due: float = (stored(kernel, order_id).run_after - kernel.clock.now()).total_seconds()
    return due


def test_faster_rate_holds_for_the_order_whose_turn_it_is(kernel: Kernel) -> None:
    ids = lined_up(kernel, "hourly")
    set_limit(kernel, "hourly", Change(rate="60/m"))
    found = settled(kernel)
    assert 0 < found.soon[ids[1]] <= 1
    assert late(kernel, ids[1]) <= 1
    assert settled(kernel) == Swept()  # nothing more to do
    for one in ids[1:]:
        kernel.clock.shift(1.1)
        drain(kernel)
        assert stored(kernel, one).state == "success"


def test_new_order_finds_the_turn_of_a_faster_rate(kernel: Kernel) -> None:
    """No sweep has come by: the next order of the tag puts its line in order."""
    ids = lined_up(kernel, "hourly")
    set_limit(kernel, "hourly", Change(rate="60/m"))
    new = order(kernel, "hourly")
    (hint,) = execute_each(kernel, [new])
    assert (hint.order_id, stored(kernel, new).state) == (ids[1], "waiting")
    assert 0 < (hint.again_in or 0) <= 1
    assert late(kernel, ids[1]) <= 1


def take_away(kernel: Kernel, tag: str) -> None:
    set_limit(kernel, tag, Change(rate=""))


@pytest.mark.parametrize("tag", ["hourly", "both"])
def test_without_a_rate_the_order_whose_turn_it_was_goes_on_first(kernel: Kernel, tag: str) -> None:
    ids = lined_up(kernel, tag)
    take_away(kernel, tag)
    assert settled(kernel).rescued == (ids[1:] if tag == "hourly" else ids[1:2])
    assert late(kernel, ids[1]) <= 0
    assert {line.turn for line in rows(kernel, LINES)} == {None}
    drain(kernel)
    assert [stored(kernel, one).state for one in ids] == ["success"] * 4


def test_cleared_limit_holds_back_none_of_those_that_it_put_off(kernel: Kernel) -> None:
    set_limit(kernel, "free", Change(rate="1/d"))
    ids = lined_up(kernel, "free")
    clear_limit(kernel, "free")
    assert settled(kernel).rescued == ids[1:]
    drain(kernel)
    assert [stored(kernel, one).state for one in ids] == ["success"] * 4
