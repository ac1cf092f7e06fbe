"""Prunes: deletes finished orders past retention, in transactions that stay short.

The number of rows that a transaction deletes is bounded, so that no other statement waits long for
one of them, and a replica gets small pieces. `kernel.worker.services.pruning` calls again while
there is more.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, distinct, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from kernel.db.clock import DatabaseTime
from kernel.db.errors import is_outage
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.gates import EVENTS, GATES
from kernel.db.tables.operating.bulk import RERUNS
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.db.tables.steps import STEPS
from kernel.db.transactions import rowcount
from kernel.orders.gates.children import of_live_parents
from kernel.orders.gates.keys import forget_keys, lock_keys
from kernel.orders.secrets.arguments import forget_secrets
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside

# What one transaction deletes at the most: orders, and rows in all.
PRUNE = 50
ROWS = 250
# Finished orders that one transaction looks at; those with an unfinished delivery are skipped.
LOOKED_AT = 100
UNFINISHED = [state for state in DeliveryState if not state.is_over]


class Pruned(NamedTuple):
    """How many orders were deleted, and the end after which to go on; None when none is left."""

    orders: int
    after: datetime | None


# Where pruning begins.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class ForgetSecrets:
    """Deletes secrets of orders that ended without success, some with each sweep."""

    def __init__(self) -> None:
        self._after = BEGINNING

    def run(self, kernel: Kernel, _swept: Swept) -> None:
        """Look at the next orders that have ended, the oldest first. Raises database errors."""
        self._after = forget_secrets(kernel, self._after)


def prune(kernel: Kernel, after: datetime = BEGINNING, aside: SetAside | None = None) -> Pruned:
    """Delete some finished orders past retention whose deliveries are over, the oldest first.

    One transaction of at most `PRUNE` orders and `ROWS` rows, chosen from `LOOKED_AT` orders that
    ended later than ``after``. Orders that owe a callback stay, and so do those that the database
    refuses to delete, because an application's table refers to them: they are set ``aside``. Call
    again with the ``after`` that this returns.
    """
    aside = kept_orders() if aside is None else aside
    before = kernel.clock.sql(-timedelta(days=kernel.settings.retention_days))
    with kernel.read_session() as session:
        window = session.execute(
            select(ORDERS.c.id, ORDERS.c.finished_at, ORDERS.c.gates)
            .where(ORDERS.c.finished_at > after, ORDERS.c.finished_at < before)
            .order_by(ORDERS.c.finished_at)
            .limit(LOOKED_AT)
        ).all()
        owing = _owing(session, [row.id for row in window], before)
        owing |= of_live_parents(session, window)
        ids = [row.id for row in window if row.id not in owing and row.id not in aside][:PRUNE]
        batch = _that_fit(session, ids) if ids else []
    if ids and not batch and _thin_out(kernel, ids[0]):
        return Pruned(0, after)
    chosen = batch or ids[:1]
    deleted = _delete(kernel, chosen, aside) if chosen else 0
    if len(batch) < len(ids) or len(ids) == PRUNE:  # there may be more among those
        return Pruned(deleted, after if deleted else _end_of(window, chosen))
    return Pruned(deleted, window[-1].finished_at if len(window) == LOOKED_AT else None)


def kept_orders() -> SetAside:
    """Return what remembers orders that cannot be deleted: a few MB at the most."""
    return SetAside("order not pruned", seconds=3600.0, most=10_000)


def _end_of(window: Sequence[Any], ids: Sequence[str]) -> datetime:
    """Return when the last of these orders ended: none before it can be deleted now."""
    ends: list[datetime] = [row.finished_at for row in window if row.id in ids]
    return max(ends)


def _delete(kernel: Kernel, ids: Sequence[str], aside: SetAside) -> int:
    """Delete orders together, or one by one if that is refused; return how many."""
    try:
        return delete_orders(kernel, ids)
    except DBAPIError as error:
        if is_outage(error):
            raise
    deleted = 0

    def delete_one(order_id: str) -> None:
        nonlocal deleted
        deleted += delete_orders(kernel, [order_id])

    aside.do_each(ids, delete_one, key=str)
    return deleted


def _owing(session: Session, ids: Sequence[str], before: DatabaseTime) -> set[str]:
    """Return which of these orders have a delivery that is not over, or only since ``before``."""
    owed = select(DELIVERIES.c.order_id).where(
        DELIVERIES.c.order_id.in_(ids),
        (DELIVERIES.c.state.in_(UNFINISHED)) | (DELIVERIES.c.finished_at >= before),
    )
    return set(session.scalars(owed)) if ids else set()


def _that_fit(session: Session, ids: Sequence[str]) -> list[str]:
    """Return the first of these orders, as many as have at most `ROWS` rows together."""
    hanging = session.execute(
        select(
            DELIVERIES.c.order_id, func.count(distinct(DELIVERIES.c.id)), func.count(ATTEMPTS.c.id)
        )
        .outerjoin(ATTEMPTS, ATTEMPTS.c.delivery_id == DELIVERIES.c.id)
        .where(DELIVERIES.c.order_id.in_(ids))
        .group_by(DELIVERIES.c.order_id)
    ).all()
    rows = {order_id: deliveries + attempts for order_id, deliveries, attempts in hanging}
    steps = select(STEPS.c.order_id, func.count()).where(STEPS.c.order_id.in_(ids))
    for order_id, count in session.execute(steps.group_by(STEPS.c.order_id)):
        rows[order_id] = rows.get(order_id, 0) + count
    for of in (EVENTS.c.order_id, RUNS.c.order_id):
        more = select(of, func.count()).where(of.in_(ids)).group_by(of)
        for order_id, count in session.execute(more):
            rows[order_id] = rows.get(order_id, 0) + count
    left, batch = ROWS, []
    for order_id in ids:
        left -= 1 + rows.get(order_id, 0)
        if left < 0:
            break
        batch.append(order_id)
    return batch


def _thin_out(kernel: Kernel, order_id: str) -> int:
    """Delete attempts or steps of an order that has too many for one transaction.

    Returns how many.
    """
    with kernel.write_session() as session:
        steps = STEPS.c.order_id == order_id
        first = select(STEPS.c.number).where(steps).order_by(STEPS.c.number).limit(ROWS)
        if len(numbers := session.scalars(first).all()) == ROWS:
            some = delete(STEPS).where(steps, STEPS.c.number <= numbers[-1])
            return rowcount(session.execute(some))
        deliveries = select(DELIVERIES.c.id).where(DELIVERIES.c.order_id == order_id)
        ids = session.scalars(
            select(ATTEMPTS.c.id)
            .where(ATTEMPTS.c.delivery_id.in_(session.scalars(deliveries).all()))
            .limit(ROWS)
        ).all()
        return rowcount(session.execute(delete(ATTEMPTS).where(ATTEMPTS.c.id.in_(ids))))


def delete_orders(kernel: Kernel, ids: Sequence[str]) -> int:
    """Delete orders with all that hangs on them; one whose callback is owed again stays."""
    with kernel.write() as connection:
        keys = lock_keys(connection, ids)
        # Locked: from here on no delivery of them is asked for again, and no attempt is written.
        found = connection.execute(_LOCK, {"orders": ids}).all()
        kept = {row.order_id for row in found if not DeliveryState(row.state).is_over}
        over = [row.id for row in found if row.order_id not in kept]
        # By their ids: where there are few attempts, MariaDB may read and lock the whole table for
        # a DELETE by delivery.
        attempts = connection.scalars(_ATTEMPTS, {"deliveries": over}).all() if over else []
        if attempts:
            connection.execute(_DELETE_ATTEMPTS, {"ids": attempts})
        if over:
            connection.execute(_DELETE_DELIVERIES, {"ids": over})
        gone = [order_id for order_id in ids if order_id not in kept]
        if not gone:
            return 0
        connection.execute(_DELETE_REFERENCES, {"ids": gone})
        connection.execute(_DELETE_GATES, {"ids": gone})
        if rerun := connection.scalars(_RERUN, {"orders": gone}).all():
            connection.execute(_DELETE_RERUNS, {"ids": rerun})
        # As attempts above: where no order has steps, no row is locked.
        if stepped := connection.scalars(_WITH_STEPS, {"orders": gone}).all():
            connection.execute(_DELETE_STEPS, {"ids": stepped})
        if ran := connection.scalars(_WITH_RUNS, {"orders": gone}).all():
            connection.execute(_DELETE_RUNS, {"ids": ran})
        # By their ids, as attempts.
        events = connection.scalars(_EVENTS, {"orders": gone}).all()
        if events:
            connection.execute(_DELETE_EVENTS, {"ids": events})
        deleted = rowcount(connection.execute(_DELETE_ORDERS, {"ids": gone}))
        forget_keys(connection, keys)
        return deleted


_LOCK = (
    select(DELIVERIES.c.id, DELIVERIES.c.order_id, DELIVERIES.c.state)
    .where(DELIVERIES.c.order_id.in_(bindparam("orders", expanding=True)))
    .with_for_update()
)
_ATTEMPTS = select(ATTEMPTS.c.id).where(
    ATTEMPTS.c.delivery_id.in_(bindparam("deliveries", expanding=True))
)
_WITH_STEPS = (
    select(STEPS.c.order_id)
    .distinct()
    .where(STEPS.c.order_id.in_(bindparam("orders", expanding=True)))
)
_DELETE_STEPS = delete(STEPS).where(STEPS.c.order_id.in_(bindparam("ids", expanding=True)))
_RERUN = select(RERUNS.c.order_id).where(RERUNS.c.order_id.in_(bindparam("orders", expanding=True)))
_DELETE_RERUNS = delete(RERUNS).where(RERUNS.c.order_id.in_(bindparam("ids", expanding=True)))
_WITH_RUNS = (
    select(RUNS.c.order_id)
    .distinct()
    .where(RUNS.c.order_id.in_(bindparam("orders", expanding=True)))
)
_DELETE_RUNS = delete(RUNS).where(RUNS.c.order_id.in_(bindparam("ids", expanding=True)))
_EVENTS = select(EVENTS.c.id).where(EVENTS.c.order_id.in_(bindparam("orders", expanding=True)))
_DELETE_EVENTS = delete(EVENTS).where(EVENTS.c.id.in_(bindparam("ids", expanding=True)))
_DELETE_ATTEMPTS, _DELETE_DELIVERIES, _DELETE_ORDERS, _DELETE_REFERENCES, _DELETE_GATES = (
    delete(key.table).where(key.in_(bindparam("ids", expanding=True)))
    for key in (
        *(ATTEMPTS.c.id, DELIVERIES.c.id, ORDERS.c.id),
        *(REFERENCES.c.order_id, GATES.c.order_id),
    )
)
