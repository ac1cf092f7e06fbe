"""Children that a cancel did not come to, for its process died or the database was away."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS
from kernel.errors import TooManyWaiting, Unavailable
from kernel.handlers import Run, Wait
from kernel.orders.backpressure import Pressure
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from kernel.worker.maintenance.gates.windows import Descents
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.sweep import sweep
from tests.runs.test_children import Parts, children, handlers, handlers_of, states
from tests.support.factories import rows


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def away(*_: Any, **__: Any) -> None:
    """Answer as a database that is away."""
    raise Unavailable(retry_after=1)


def swept(kernel: Kernel) -> Swept:
    found = Swept()
    Descents().run(kernel, found)
    return found


def test_sweep_cancels_children_of_the_last_commit_that_their_worker_could_not(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    @handlers_of(kernel).register("late", Parts)
    def late(run: Run, args: Parts) -> Wait:
        cancel(kernel, None, run.order_id)
        run.submit("part", number=1)
        return Wait.children()

    monkeypatch.setattr("kernel.runs.execute.go_down", away)
    execute(kernel, order(kernel, "late"))
    assert states(kernel) == ["cancelled", "pending"]
    assert list(swept(kernel).failed) == children(kernel)
    assert states(kernel) == ["cancelled", "cancelled"]
    assert {row.waiting_for for row in rows(kernel, GATES)} == {None}
    assert swept(kernel).failed == {}


def test_sweep_cancels_children_of_a_worker_that_died_after_a_cancel(kernel: Kernel) -> None:
    parent = order(kernel, "whole", count=2)
    execute(kernel, parent)
    runs = {"state": "running", "run": 2, "cancel_requested_at": kernel.clock.now()}
    with kernel.write_session() as session:
        session.execute(update(ORDERS).where(ORDERS.c.id == parent).values(runs))
    leave(kernel, parent, 2, Exit(Why.DIED))
    assert states(kernel) == ["cancelled", "pending", "pending"]
    found = sweep(kernel, rescue=False)
    assert sorted(found.failed) == children(kernel)
    assert states(kernel) == ["cancelled"] * 3


def test_sweep_goes_on_below_children_that_were_cancelled(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    @handlers_of(kernel).register("above", Parts)
    def above(run: Run, args: Parts) -> Wait:
        run.submit("whole", count=2)
        return Wait.children()

    parent = order(kernel, "above")
    execute(kernel, parent)
    (below,) = (row.id for row in rows(kernel, ORDERS) if row.select_tag == "whole")
    execute(kernel, below)
    cuts = [False, True]  # the cancel comes to the second generation, and no further

    def live(kernel: Kernel, parent_id: str) -> list[list[str]]:
        return away() if cuts.pop(0) else [[below]]  # type: ignore[return-value, func-returns-value]

    with monkeypatch.context() as cut:
        cut.setattr("kernel.orders.cancel.live_children", live)
        with pytest.raises(Unavailable):
            cancel(kernel, None, parent)
    assert states(kernel) == ["cancelled", "cancelled", "pending", "pending"]
    swept(kernel)
    assert states(kernel) == ["cancelled"] * 4


def test_cancelled_parent_is_no_order_that_waits_while_its_children_are_left(
    make_kernel: Callable[..., Kernel], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = make_kernel(database_url, handlers, max_waiting=1)
    parent = order(kernel, "whole", count=1)
    execute(kernel, parent)
    with pytest.raises(TooManyWaiting):
        Pressure(kernel).check(1)
    monkeypatch.setattr("kernel.orders.cancel.live_children", away)
    with pytest.raises(Unavailable):
        cancel(kernel, None, parent)
    assert "descent" in {row.waiting_for for row in rows(kernel, GATES)}
    Pressure(kernel).check(1)
