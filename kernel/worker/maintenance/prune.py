"""Prunes: deletes finished orders past retention, in transactions that stay short.

A transaction deletes so many rows at the most, so nobody waits long for a row of it, and a replica
gets it in small pieces. Whoever swept goes on between its other rounds while there is more.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, delete, distinct, func, select
from sqlalchemy.orm import Session

from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import rowcount
from kernel.runtime.kernel import Kernel

# What one transaction deletes at the most: orders, and rows in all.
PRUNE = 50
ROWS = 250
# Among so many finished orders: what is owed for a long time is passed by.
LOOKED_AT = 100
# From one of them to the next: many hundred orders a second, and most of the time for others.
PAUSE_SECONDS = 0.05
UNFINISHED = [state for state in DeliveryState if not state.is_over]


class Pruned(NamedTuple):
    """How many orders were deleted, and behind which end to go on; None when it is through."""

    orders: int
    after: datetime | None


# Where pruning begins.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def prune(kernel: Kernel, after: datetime = BEGINNING) -> Pruned:
    """Delete some finished orders past retention whose deliveries are over, the oldest first.

    One transaction of at most `PRUNE` orders and `ROWS` rows, chosen from `LOOKED_AT` orders that
    ended later than ``after``: those that owe a callback stay, however many they are. Call again
    with what this returns.
    """
    before = kernel.clock.now() - timedelta(days=kernel.settings.retention_days)
    with kernel.read_session() as session:
        window = session.execute(
            select(ORDERS.c.id, ORDERS.c.finished_at)
            .where(ORDERS.c.finished_at > after, ORDERS.c.finished_at < before)
            .order_by(ORDERS.c.finished_at)
            .limit(LOOKED_AT)
        ).all()
        owing = _owing(session, [row.id for row in window], before)
        ids = [row.id for row in window if row.id not in owing][:PRUNE]
        batch = _that_fit(session, ids) if ids else []
    if ids and not batch and _thin_out(kernel, ids[0]):
        return Pruned(0, after)
    deleted = _delete_orders(kernel, batch or ids[:1]) if ids else 0
    if len(batch) < len(ids) or len(ids) == PRUNE:
        return Pruned(deleted, after)  # there may be more among those
    return Pruned(deleted, window[-1].finished_at if len(window) == LOOKED_AT else None)


def _owing(session: Session, ids: Sequence[str], before: datetime) -> set[str]:
    """Return which of these orders have a delivery that is not over, or only since ``before``."""
    owed = select(DELIVERIES.c.order_id).where(
        DELIVERIES.c.order_id.in_(ids),
        (DELIVERIES.c.state.in_(UNFINISHED)) | (DELIVERIES.c.finished_at >= before),
    )
    return set(session.scalars(owed)) if ids else set()


def _that_fit(session: Session, ids: Sequence[str]) -> list[str]:
    """Return the first of these orders that have no more than `ROWS` rows together."""
    hanging = session.execute(
        select(
            DELIVERIES.c.order_id, func.count(distinct(DELIVERIES.c.id)), func.count(ATTEMPTS.c.id)
        )
        .outerjoin(ATTEMPTS, ATTEMPTS.c.delivery_id == DELIVERIES.c.id)
        .where(DELIVERIES.c.order_id.in_(ids))
        .group_by(DELIVERIES.c.order_id)
    ).all()
    rows = {order_id: deliveries + attempts for order_id, deliveries, attempts in hanging}
    left, batch = ROWS, []
    for order_id in ids:
        left -= 1 + rows.get(order_id, 0)
        if left < 0:
            break
        batch.append(order_id)
    return batch


def _thin_out(kernel: Kernel, order_id: str) -> int:
    """Delete attempts of an order that has too many for one transaction; return how many."""
    with kernel.write_session() as session:
        deliveries = select(DELIVERIES.c.id).where(DELIVERIES.c.order_id == order_id)
        ids = session.scalars(
            select(ATTEMPTS.c.id)
            .where(ATTEMPTS.c.delivery_id.in_(session.scalars(deliveries).all()))
            .limit(ROWS)
        ).all()
        return rowcount(session.execute(delete(ATTEMPTS).where(ATTEMPTS.c.id.in_(ids))))


def _delete_orders(kernel: Kernel, ids: Sequence[str]) -> int:
    """Delete orders with all that hangs on them; one whose callback is owed again stays."""
    with kernel.write() as connection:
        # Locked: from here on nobody asks for one of them again, or writes an attempt.
        found = connection.execute(_LOCK, {"orders": ids}).all()
        kept = {row.order_id for row in found if not DeliveryState(row.state).is_over}
        over = [row.id for row in found if row.order_id not in kept]
        # By their numbers: where there are few, a DELETE by delivery may read and lock them all.
        attempts = connection.scalars(_ATTEMPTS, {"deliveries": over}).all() if over else []
        if attempts:
            connection.execute(_DELETE_ATTEMPTS, {"ids": attempts})
        if over:
            connection.execute(_DELETE_DELIVERIES, {"ids": over})
        gone = [order_id for order_id in ids if order_id not in kept]
        return rowcount(connection.execute(_DELETE_ORDERS, {"ids": gone})) if gone else 0


_LOCK = (
    select(DELIVERIES.c.id, DELIVERIES.c.order_id, DELIVERIES.c.state)
    .where(DELIVERIES.c.order_id.in_(bindparam("orders", expanding=True)))
    .with_for_update()
)
_ATTEMPTS = select(ATTEMPTS.c.id).where(
    ATTEMPTS.c.delivery_id.in_(bindparam("deliveries", expanding=True))
)
_DELETE_ATTEMPTS, _DELETE_DELIVERIES, _DELETE_ORDERS = (
    delete(table).where(table.c.id.in_(bindparam("ids", expanding=True)))
    for table in (ATTEMPTS, DELIVERIES, ORDERS)
)


class Pruning:
    """Prunes after a sweep, a transaction at a time, until it is through or it is time to sweep."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._until = 0.0
        self._after = BEGINNING
        # When to go on (monotonic seconds); None when there is nothing more.
        self.due_at: float | None = None

    def begin(self) -> None:
        """Note that this process has just swept: it prunes until the next sweep is due."""
        self.due_at = time.monotonic()
        self._until = self.due_at + self._kernel.settings.sweep_seconds

    def go_on(self) -> None:
        """Prune once more if it is time to."""
        if self.due_at is None or time.monotonic() < self.due_at:
            return
        self.due_at = None  # if this fails, the next sweep tries again
        after = prune(self._kernel, self._after).after
        self._after = after or BEGINNING
        if after is not None and time.monotonic() < self._until:
            self.due_at = time.monotonic() + PAUSE_SECONDS
