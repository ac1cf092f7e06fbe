"""A parent whose last child ends outside a run goes on with that end, and is hinted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run, Wait
from kernel.orders.cancel import cancel
from kernel.orders.transitions import RunEnd
from kernel.runs import leases
from kernel.runs.claim import Batch
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.maintenance.gates.windows import expire_orders
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.known_tags import fail_unknown
from kernel.worker.maintenance.rescue import rescue_orders, take_over
from kernel.worker.maintenance.set_aside import SetAside
from kernel.worker.services.lease_keeper import LeaseKeeper
from tests.support.factories import order as stored
from tests.support.factories import rows
from tests.support.hints import FakeHints

handlers = Handlers()


class Parts(BaseModel):
    """What its one child is like."""

    members: dict[str, Any] = {}


class Part(BaseModel):
    """Nothing."""


@handlers.register("whole", Parts)
def whole(run: Run, args: Parts) -> dict[str, Any] | Wait:
    if run.has_waited:
        return {"children": [one.state for one in run.children]}
    run.submit("part", **args.members)
    return Wait.children()


@handlers.register("part", Part)
def part(run: Run, args: Part) -> dict[str, Any]:
    raise RuntimeError("a bug")


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


class Told:
    """What a worker's dispatcher passes on."""

    def __init__(self, kernel: Kernel) -> None:
        self.hints = FakeHints()
        self._dispatcher = Dispatcher(kernel, self.hints)

        self.tell = self._dispatcher.tell

    def all_of(self, ends: list[RunEnd]) -> list[str]:
        for end in ends:
            self.tell(end)
        return self.hints.hinted


def claim(kernel: Kernel, order_id: str) -> None:
    """Claim an order as a process does that dies then."""
    with kernel.run_connection() as connection:
        assert Batch(kernel, connection, [order_id]).claim() is not None
        connection.invalidate()


def crashed_often(kernel: Kernel, order_id: str) -> None:
    """Have the next crash be the last one that is borne."""
    with kernel.write_session() as session:
        session.execute(update(ORDERS).where(ORDERS.c.id == order_id).values(crashes=4))


def cancelled(kernel: Kernel, child: str) -> list[str]:
    ends: list[RunEnd] = []
    cancel(kernel, 1, child, ends=ends)
    return [one for end in ends for one in end.woken]


def expired(kernel: Kernel, child: str) -> list[str]:
    kernel.clock.shift(61)
    swept = Swept()
    expire_orders(kernel, swept)
    return swept.rescued


def rescued(kernel: Kernel, child: str) -> list[str]:
    crashed_often(kernel, child)
    claim(kernel, child)
    kernel.clock.shift(kernel.settings.lease_seconds + 1)
    swept = Swept()
    rescue_orders(kernel, swept)
    return swept.rescued


def taken_over(kernel: Kernel, child: str) -> list[str]:
    crashed_often(kernel, child)
    claim(kernel, child)
    ends: list[RunEnd] = []
    assert take_over(kernel, kernel.runner, SetAside("order not taken over"), ends)
    return Told(kernel).all_of(ends)


def unknown(kernel: Kernel, child: str) -> list[str]:
    with kernel.write_session() as session:
        mine = update(ORDERS).where(ORDERS.c.id == child)
        long_ago = kernel.clock.now() - timedelta(hours=2)
        session.execute(
            mine.values(select_tag="forgotten", created_at=long_ago, run_after=long_ago)
        )
    swept = Swept()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "kernel.worker.maintenance.known_tags.unbroken_for", lambda *_: timedelta(hours=2)
        )
        fail_unknown(kernel, swept)
    return swept.rescued


def written_later(kernel: Kernel, child: str) -> list[str]:
    """A run that has ended, of which the database could not be told."""
    with pytest.MonkeyPatch.context() as patch:
        refused = OperationalError("", None, Exception("gone"))

        def refuse(*_: Any, **__: Any) -> None:
            raise refused

        patch.setattr(leases, "leave_running", refuse)
        (end,) = execute_each(kernel, [child])
    assert end.parent is None
    told = Told(kernel)
    LeaseKeeper(kernel, told.tell, seconds=1).run()
    return told.hints.hinted


ENDS = [cancelled, expired, rescued, taken_over, unknown, written_later]


@pytest.mark.parametrize("end", ENDS, ids=lambda one: one.__name__)
def test_parent_goes_on_with_the_end_of_its_last_child(
    kernel: Kernel, end: Callable[[Kernel, str], list[str]]
) -> None:
    closes = kernel.clock.now() + timedelta(seconds=60)
    members = {"not_after": closes.isoformat()} if end is expired else {}
    parent = order(kernel, "whole", members=members)
    assert execute(kernel, parent)
    (child,) = (row.id for row in rows(kernel, ORDERS) if row.id != parent)
    assert end(kernel, child) == [parent]
    state = stored(kernel, child).state
    assert state in ("cancelled", "failed")
    assert stored(kernel, parent).state == "pending"
    drain(kernel)
    assert stored(kernel, parent).result == f'{{"children":["{state}"]}}'
