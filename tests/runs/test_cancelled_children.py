"""A cancel of an order with children: many in one transaction, and the others each in its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from kernel.db.tables.audit import ACTS
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS
from kernel.formats.envelope import rfc3339
from kernel.handlers import Run, Wait
from kernel.orders.cancel import cancel
from kernel.runs.claim import Batch
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from tests.runs.test_children import Parts, children, handlers, handlers_of, states
from tests.support.factories import order as stored
from tests.support.factories import rows
from tests.support.waiting import wait_until


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def test_cancel_goes_down_to_children_of_every_kind(kernel: Kernel) -> None:
    @handlers_of(kernel).register("mixed", Parts)
    def mixed(run: Run, args: Parts) -> Wait:
        later = {"not_before": rfc3339(run.now + timedelta(hours=1))}
        for members in ({}, {}, {"ordering_key": "k"}, {"ordering_key": "k"}, later):
            run.submit("part", number=1, **members)
        run.submit("whole", count=1)
        return Wait.children()

    parent = order(kernel, "mixed")
    end = execute(kernel, parent)
    assert end is not None
    (whole,) = (row.id for row in rows(kernel, ORDERS) if row.select_tag == "whole")
    assert execute(kernel, whole) is not None
    with kernel.run_connection() as connection:
        begun = Batch(kernel, connection, [children(kernel)[0]]).claim()
        assert begun is not None
        connection.invalidate()
    assert cancel(kernel, None, parent) == "cancelled"
    assert states(kernel) == ["cancelled"] * 7 + ["running"]
    assert stored(kernel, begun.order.id).cancel_requested_at is not None
    assert {(row.opens_at, row.waiting_for) for row in rows(kernel, GATES)} == {(None, None)}
    acts = [row.target for row in rows(kernel, ACTS) if row.verb == "order.cancel"]
    assert sorted(acts) == sorted(f"order {row.id}" for row in rows(kernel, ORDERS))


def test_children_of_the_last_commit_are_told_of_when_their_order_is_cancelled(
    kernel: Kernel,
) -> None:
    @handlers_of(kernel).register("late", Parts)
    def late(run: Run, args: Parts) -> Wait:
        cancel(kernel, None, run.order_id)
        run.submit("part", number=1)
        return Wait.children()

    parent = order(kernel, "late")
    ends = list(execute_each(kernel, [parent]))
    assert [end.order_id for end in ends] == [parent, *children(kernel)]
    assert [end.outcome and end.outcome.state for end in ends] == ["cancelled"] * 2


@pytest.mark.parametrize("url", ["mariadb_rows_url", "postgresql_rows_url"])
def test_cancel_of_many_does_not_wait_for_a_row_while_it_holds_others(
    make_kernel: Callable[..., Kernel], request: pytest.FixtureRequest, url: str
) -> None:
    """A run that ends may claim a child along: each would wait for the other's row."""
    kernel = make_kernel(request.getfixturevalue(url), handlers)
    parent = order(kernel, "whole", count=3)
    execute(kernel, parent)
    held = children(kernel)[1]
    lock = select(ORDERS.c.id).where(ORDERS.c.id == held).with_for_update()
    with ThreadPoolExecutor(1) as other:
        with kernel.write_session() as session:
            session.execute(lock)
            cancelled = other.submit(cancel, kernel, None, parent)
            wait_until(lambda: states(kernel) == ["cancelled"] * 3 + ["pending"], 10)
        assert cancelled.result(30) == "cancelled"
    assert states(kernel) == ["cancelled"] * 4
