"""A slot that is kept for a waiting order which was woken, and ends before it begins."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import ORDERS, with_bit
from kernel.formats.envelope import rfc3339
from kernel.handlers import Handlers
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.orders.transitions import RunEnd
from kernel.runs import claim
from kernel.runs.execute import execute_each
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from kernel.worker.maintenance.gates.limits import SettleLimits
from kernel.worker.maintenance.gates.windows import expire_orders
from kernel.worker.maintenance.job import Swept
from tests.orders.limits.test_concurrency import Work, begin, handlers, held
from tests.support.factories import order as stored


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.mark.parametrize("how", ["cancelled", "expired", "cancelled with its parent"])
def test_slot_that_was_kept_for_an_order_that_ends_is_given_to_the_next(
    kernel: Kernel, how: str
) -> None:
    until = rfc3339(kernel.clock.now() + timedelta(seconds=60))
    ids = [order(kernel, "one"), order(kernel, "one", not_after=until), order(kernel, "one")]
    assert [begin(kernel, one) for one in ids] == [True, False, False]
    assert leave(kernel, ids[0], 1, Exit(Why.RETRY, after=3600.0)).woken == (ids[1],)
    assert held(kernel) == [ids[1]]
    if how == "expired":
        kernel.clock.shift(61)
        swept = Swept()
        expire_orders(kernel, swept)
        woken = swept.rescued
    else:
        ends: list[RunEnd] = []
        if how == "cancelled":
            cancel(kernel, 1, ids[1], ends=ends)
        else:
            cancel(kernel, 1, parent_of(kernel, ids[1]), ends=ends)
        woken = [one for end in ends for one in end.woken]
    assert stored(kernel, ids[1]).state == ("failed" if how == "expired" else "cancelled")
    assert woken == [ids[2]]
    assert held(kernel) == [ids[2]]
    assert begin(kernel, ids[2])


@pytest.mark.parametrize("how", ["cancelled", "rescued"])
def test_process_that_does_not_know_a_tag_gives_its_line_to_no_order(
    kernel: Kernel, make_kernel: Callable[..., Kernel], database_url: str, how: str
) -> None:
    """As a command has no handlers: to it the tag would be one without a limit."""
    others = Handlers()
    others.register("another", Work, concurrency=1)(lambda run, args: {})
    stranger = make_kernel(database_url, others)
    ids = [order(kernel, "one") for _ in range(5)]
    assert [begin(kernel, one) for one in ids] == [True, *[False] * 4]
    if how == "cancelled":
        assert leave(kernel, ids[0], 1, Exit(Why.RETRY, after=3600.0)).woken == (ids[1],)
        cancel(stranger, None, ids[1])
    else:
        leave(stranger, ids[0], 1, Exit(Why.DIED))
    waiting = ids[2:] if how == "cancelled" else ids[1:]
    assert [stored(kernel, one).state for one in waiting] == ["waiting"] * len(waiting)
    assert held(kernel) == []
    swept = Swept()
    SettleLimits().run(kernel, swept)
    assert swept.rescued == held(kernel) == [waiting[0]]


def test_order_for_which_a_slot_is_kept_is_not_given_that_of_the_order_before_it(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    first, second, woken = (order(kernel, "two") for _ in range(3))
    assert [begin(kernel, one) for one in (first, second, woken)] == [True, True, False]
    again = Exit(Why.RETRY, after=3600.0)
    assert leave(kernel, first, 1, again).woken == (woken,)
    leave(kernel, second, 1, again)
    runs = execute_each(kernel, [new := order(kernel, "two"), woken])
    assert next(runs).order_id == new
    assert held(kernel) == [woken]
    assert [end.order_id for end in runs if end.outcome] == [woken]
    assert held(kernel) == []


def parent_of(kernel: Kernel, order_id: str) -> str:
    """Have an order be the child of a new one."""
    parent = order(kernel, "free")
    with kernel.write_session() as session:
        mine = update(GATES).where(GATES.c.order_id == order_id)
        session.execute(mine.values(parent_id=parent))
        for one, has in ((order_id, Has.PARENT), (parent, Has.CHILDREN)):
            bits = update(ORDERS).where(ORDERS.c.id == one)
            session.execute(bits.values(gates=with_bit(has)))
    return parent
