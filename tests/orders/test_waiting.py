"""Orders that wait: nothing claims them, and they go on, end and expire like others."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.formats.envelope import rfc3339
from kernel.orders.cancel import cancel
from kernel.orders.due import due_orders
from kernel.orders.transitions import Waiting, begin_waiting, wake
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.gates.windows import expire_orders, wake_orders
from kernel.worker.maintenance.job import Swept
from tests.support.factories import make_order, order, rows


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url)


def have_it_wait(kernel: Kernel, order_id: str, what: str, seconds: float | None = None) -> None:
    until = None if seconds is None else kernel.clock.now() + timedelta(seconds=seconds)
    with kernel.write_session() as session:
        found = session.execute(select(*SNAPSHOT).where(ORDERS.c.id == order_id)).one()
        assert begin_waiting(kernel, session, OrderSnapshot(*found), Waiting(what, until))


def wakes(kernel: Kernel, *order_ids: str, what: str | None = None) -> list[str]:
    only = None if what is None else GATES.c.waiting_for == what
    with kernel.write_session() as session:
        return wake(kernel, session, order_ids, only)


def gate(kernel: Kernel) -> tuple[object, ...]:
    (found,) = rows(kernel, GATES)
    return found.waiting_for, found.waiting_since is not None, found.wakes_at is not None


def test_an_order_that_waits_is_not_due_until_it_is_woken(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    have_it_wait(kernel, order_id, "event:approved", 60)
    assert gate(kernel) == ("event:approved", True, True)
    assert due_orders(kernel, 10) == []
    assert order(kernel, order_id).gates == Has.WAITED
    assert wakes(kernel, order_id, what="children") == []
    assert wakes(kernel, order_id, what="event:approved") == [order_id]
    assert wakes(kernel, order_id) == []
    assert due_orders(kernel, 10) == [order_id]
    assert gate(kernel) == (None, False, False)


def test_an_order_that_changed_meanwhile_does_not_begin_to_wait(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    with kernel.write_session() as session:
        found = session.execute(select(*SNAPSHOT).where(ORDERS.c.id == order_id)).one()
        session.execute(update(ORDERS).where(ORDERS.c.id == order_id).values(run=1))
        assert not begin_waiting(kernel, session, OrderSnapshot(*found), Waiting("children"))
    assert (order(kernel, order_id).state, rows(kernel, GATES)) == (OrderState.PENDING, [])


def test_an_order_goes_on_when_its_wait_has_ended(kernel: Kernel) -> None:
    soon, later, ever = (make_order(kernel) for _ in range(3))
    have_it_wait(kernel, soon, "event:a", 5)
    have_it_wait(kernel, later, "event:a", 3600)
    have_it_wait(kernel, ever, "children")
    swept = Swept()
    wake_orders(kernel, swept)
    assert swept.rescued == []
    kernel.clock.shift(6)
    wake_orders(kernel, swept)
    assert (swept.rescued, due_orders(kernel, 10)) == ([soon], [soon])


def test_a_wait_ends_when_its_order_does(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    have_it_wait(kernel, order_id, "event:a", -5)
    assert cancel(kernel, None, order_id) is OrderState.CANCELLED
    assert gate(kernel) == (None, False, False)
    swept = Swept()
    wake_orders(kernel, swept)
    assert (swept.rescued, order(kernel, order_id).state) == ([], OrderState.CANCELLED)


def test_an_order_expires_while_it_waits_for_its_first_run(kernel: Kernel) -> None:
    closes = kernel.clock.now() + timedelta(seconds=5)
    order_id = make_order(kernel, not_after=closes)
    with kernel.write() as connection:
        connection.execute(GATES.insert().values(order_id=order_id, caller_id=1, closes_at=closes))
    have_it_wait(kernel, order_id, "ordering_key")
    kernel.clock.shift(6)
    swept = Swept()
    expire_orders(kernel, swept)
    assert swept.failed[order_id].error_code == "expired"
    assert rfc3339(order(kernel, order_id).finished_at) is not None
