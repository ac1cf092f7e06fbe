"""A lease ends by the database's time; one rescuer gets the run, and what it had locked is free."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert, select, update

from kernel.db.tables.gates import GATES, KEYS, Has
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import SelectTag
from kernel.orders.decide import Exit, Why
from kernel.orders.transitions import leave_running
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.rescue import rescue_orders, running_orders
from tests.support.abilities import Kind
from tests.support.factories import make_order, order
from tests.support.rivals import at_once

SECOND = timedelta(seconds=1)


def run_with_lease(kernel: Kernel, left: timedelta, **values: object) -> str:
    """Make an order that runs, with so much of its lease left by the database's time."""
    return make_order(kernel, state="running", lease_until=kernel.clock.sql(left), **values)


@pytest.mark.parametrize(("left", "over"), [(-SECOND / 500, True), (60 * SECOND, False)])
def test_lease_is_over_by_the_databases_time(kernel: Kernel, left: timedelta, over: bool) -> None:
    order_id = run_with_lease(kernel, left)
    assert [(row.id, bool(row.over)) for row in running_orders(kernel)] == [(order_id, over)]


@pytest.mark.parametrize("renewed", [True, False])
def test_run_is_left_to_its_owner_when_it_has_renewed_the_lease_that_was_seen(
    kernel: Kernel, renewed: bool
) -> None:
    order_id = run_with_lease(kernel, -SECOND)
    (seen,) = running_orders(kernel)
    if renewed:
        until = kernel.clock.sql(kernel.lease)
        with kernel.write_session() as session:
            held = ORDERS.c.id == order_id, ORDERS.c.run == seen.run
            session.execute(update(ORDERS).where(*held).values(lease_until=until))
    same = ORDERS.c.lease_until == seen.lease_until
    with kernel.write_session() as session:
        left = leave_running(kernel, session, (order_id, seen.run), Exit(Why.DIED), only=same)
    assert (left is None) == renewed
    assert order(kernel, order_id).state == ("running" if renewed else "pending")


def test_runs_are_taken_over_once_when_two_rescue_at_once(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    kernel, rival = (make_kernel(database_url) for _ in range(2))
    ids = [run_with_lease(kernel, -SECOND) for _ in range(5)]
    swept = Swept(), Swept()
    at_once(lambda: rescue_orders(kernel, swept[0]), lambda: rescue_orders(rival, swept[1]))
    assert sorted(swept[0].rescued + swept[1].rescued) == ids
    found = [order(kernel, one) for one in ids]
    assert {(one.state, one.crashes) for one in found} == {("pending", 1)}


def test_what_a_frozen_run_had_locked_is_free_when_it_is_rescued(
    kernel: Kernel, kind: Kind
) -> None:
    row = {"tag": "a", "seen_at": kernel.clock.now()}
    with kernel.run_connection() as frozen:
        number = kernel.dialect.connection_number(frozen)
        assert (number is None) == ("kill" in kind.cannot)
        if number is None:
            return
        order_id = run_with_lease(kernel, -SECOND, connection_id=number)
        frozen.execute(insert(SelectTag).values(row))
        rescue_orders(kernel, swept := Swept())
        with kernel.write() as connection:
            connection.execute(insert(SelectTag).values(row))
        frozen.invalidate()
    assert swept.rescued == [order_id]


def end_of(frozen: Connection, order_id: str) -> None:
    """Write what the end of a run writes last, without its COMMIT."""
    mine = update(ORDERS).where(ORDERS.c.id == order_id)
    frozen.execute(mine.values(state="success", lease_until=None, connection_id=None))


def key_of(frozen: Connection, order_id: str) -> None:
    """Lock what the end of a run with an ordering key locks first."""
    frozen.execute(select(KEYS.c.tail).where(KEYS.c.holder == order_id).with_for_update())


@pytest.mark.parametrize("lock", [end_of, key_of])
def test_run_that_froze_in_its_end_is_taken_over_at_the_next_look(
    kernel: Kernel, kind: Kind, lock: Callable[[Connection, str], None]
) -> None:
    if "kill" in kind.cannot:
        return
    with kernel.run_connection() as frozen:
        number = kernel.dialect.connection_number(frozen)
        order_id = run_with_lease(kernel, -SECOND, connection_id=number, gates=int(Has.KEY))
        key = {"caller_id": 1, "ordering_key": "a"}
        with kernel.write() as connection:
            connection.execute(insert(KEYS).values(**key, tail=1, holder=order_id))
            connection.execute(insert(GATES).values(**key, order_id=order_id, place=1))
        lock(frozen, order_id)
        for _ in range(2):
            rescue_orders(kernel, swept := Swept())
        frozen.invalidate()
    assert swept.rescued == [order_id]
    assert order(kernel, order_id).state == "pending"


def test_connection_on_which_another_order_runs_by_now_is_not_killed(
    kernel: Kernel, kind: Kind
) -> None:
    if "kill" in kind.cannot:
        return
    with kernel.run_connection() as reused:
        number = kernel.dialect.connection_number(reused)
        order_id = run_with_lease(kernel, -SECOND, connection_id=number)
        other = run_with_lease(kernel, 60 * SECOND, connection_id=number)
        end_of(reused, order_id)
        rescue_orders(kernel, swept := Swept())
        assert swept.rescued == []
        reused.commit()
    assert [order(kernel, one).state for one in (order_id, other)] == ["success", "running"]
