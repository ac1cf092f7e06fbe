"""Pruning in short transactions: how many rows each deletes, and how it goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, event, func, insert, select

from kernel.db.columns import token
from kernel.db.tables.deliveries import ATTEMPTS, Attempt, Delivery
from kernel.db.tables.orders import ORDERS, Order
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.prune import (
    BEGINNING,
    LOOKED_AT,
    PRUNE,
    ROWS,
    delete_orders,
    kept_orders,
    prune,
)
from kernel.worker.maintenance.set_aside import SetAside
from tests.support.factories import make_delivery, make_order, order


def old(kernel: Kernel, attempts: int = 1, **delivery: Any) -> str:
    """Make an order that ended long ago, with a delivery and so many attempts; return its id."""
    ago = kernel.clock.now() - timedelta(days=40)
    order_id = make_order(kernel, state="success", created_at=ago, finished_at=ago)
    ended = {"state": "delivered", "finished_at": ago, **delivery}
    delivery_id = make_delivery(kernel, order_id, **ended)
    attempt = {"delivery_id": delivery_id, "number": 1, "started_at": ago, "duration_ms": 1}
    with kernel.write_session() as session:
        session.execute(insert(ATTEMPTS), [attempt | {"phases": "{}"}] * attempts)
    return order_id


def rows(kernel: Kernel) -> list[int]:
    """How many orders, deliveries and attempts there are."""
    with kernel.read_session() as session:
        counts = [select(func.count()).select_from(one) for one in (Order, Delivery, Attempt)]
        return [session.scalar(one) or 0 for one in counts]


@contextmanager
def deleting(kernel: Kernel) -> Iterator[list[int]]:
    """Count the rows that each transaction deletes."""
    found = [0]

    def add(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        found[-1] += cursor.rowcount if statement.startswith("DELETE") else 0

    def begin(_: Any) -> None:
        found.append(0)

    event.listen(kernel.engine, "after_cursor_execute", add)
    event.listen(kernel.engine, "commit", begin)
    yield found
    event.remove(kernel.engine, "after_cursor_execute", add)
    event.remove(kernel.engine, "commit", begin)


def prune_all(kernel: Kernel, aside: SetAside | None = None) -> int:
    """Prune until there is no more; return how many orders there were."""
    total, after = 0, BEGINNING
    while after is not None:
        deleted, after = prune(kernel, after, aside)
        total += deleted
    return total


@pytest.mark.parametrize(
    "attempts",
    [[1] * (PRUNE + 20), [40] * 30, [2 * ROWS + 10, 1, 1], [ROWS - 1, 3, ROWS - 2, ROWS - 3]],
    ids=["many orders", "many attempts", "one with very many", "at the edge"],
)
def test_transaction_deletes_few_rows_whatever_hangs_on_orders(
    kernel: Kernel, attempts: list[int]
) -> None:
    for count in attempts:
        old(kernel, count)
    with deleting(kernel) as deleted:
        assert prune_all(kernel) == len(attempts)
    assert rows(kernel) == [0, 0, 0]
    assert max(deleted) <= ROWS


def test_order_stays_when_its_callback_is_asked_for_again_meanwhile(kernel: Kernel) -> None:
    gone, asked = old(kernel), old(kernel, state="pending", finished_at=None)
    assert delete_orders(kernel, [gone, asked]) == 1
    assert (order(kernel, asked).state, rows(kernel)) == ("success", [1, 1, 1])


def test_pruning_skips_orders_whose_callbacks_are_held(kernel: Kernel) -> None:
    for _ in range(LOOKED_AT + 1):
        old(kernel, state="held", finished_at=None)
    old(kernel)
    assert prune_all(kernel) == 1


def keep(kernel: Kernel, ids: list[str]) -> None:
    """Have an application's table refer to these orders."""
    notes = Table("app_notes", MetaData(), Column("order_id", token(36), ForeignKey(ORDERS.c.id)))
    notes.create(kernel.engine)
    with kernel.write() as connection:
        connection.execute(insert(notes), [{"order_id": one} for one in ids])


@pytest.mark.parametrize("count", [1, LOOKED_AT + 1])
def test_other_orders_are_pruned_when_the_database_refuses_to_delete_some(
    make_kernel: Callable[..., Kernel],
    new_database_url: str,
    caplog: pytest.LogCaptureFixture,
    count: int,
) -> None:
    kernel = make_kernel(new_database_url)
    kept = [old(kernel) for _ in range(count)]
    keep(kernel, kept)
    for _ in range(3):
        old(kernel)
    aside = kept_orders()
    assert [prune_all(kernel, aside) for _ in range(3)] == [3, 0, 0]
    assert rows(kernel) == [count] * 3
    said = [(one.order_id, one.message[:17]) for one in caplog.records]  # type: ignore[attr-defined]
    assert sorted(said) == sorted((one, "order not pruned:") for one in kept)


def test_pruning_comes_to_its_end_when_every_call_forgets_what_was_refused(
    make_kernel: Callable[..., Kernel], new_database_url: str
) -> None:
    kernel = make_kernel(new_database_url)
    keep(kernel, [old(kernel) for _ in range(PRUNE + 1)])
    old(kernel)
    assert prune_all(kernel) == 1
