"""How much waits, and for how long: numbers from the rows, each from one index and bounded.

For `/metrics`. A count stops at `LIMIT`, so that a look at a backlog never adds to it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE
from kernel.db.tables.orders import ORDERS
from kernel.orders.due import LANES, along, lanes
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import DROPPED

LIMIT = 50_000
# Only deliveries that died within this time are counted; older ones are history.
RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits at one moment; ages in seconds, 0 when nothing waits."""

    orders_due: int
    orders_due_oldest: float
    orders_running: int
    orders_waiting: int
    deliveries_due: int
    deliveries_due_oldest: float
    deliveries_pending: int
    deliveries_held: int
    deliveries_dead: int
    # Since when the first of the pending callbacks has been due, or when it will be.
    first_callback_at: datetime | None = None


def backlog(kernel: Kernel, limit: int = LIMIT) -> Backlog:
    """Count what waits, by eight or nine short queries, each number up to ``limit``."""
    now = kernel.clock.now()
    with kernel.read_session() as session:
        due, oldest_due = _due_orders(kernel, session, now, limit)
        pending, callbacks, oldest_callback = _pending_deliveries(session, now, limit)
        return Backlog(
            orders_due=due,
            orders_due_oldest=_age(oldest_due, now),
            orders_running=_count(session, _state(ORDERS, OrderState.RUNNING), limit),
            orders_waiting=_count(session, _state(ORDERS, OrderState.WAITING), limit),
            deliveries_due=callbacks,
            deliveries_due_oldest=_age(oldest_callback, now),
            deliveries_pending=pending,
            deliveries_held=_count(session, _state(DELIVERIES, DeliveryState.HELD), limit),
            deliveries_dead=_given_up(session, now, limit),
            first_callback_at=oldest_callback,
        )


def lately_dead(now: datetime, *columns: Any) -> Select[Any]:
    """Return the callbacks that died within `RECENT`, those that a person dropped among them."""
    found = by_index(select(*columns), DELIVERIES, "ix_kernel_deliveries_state_finished_at")
    lately = (DELIVERIES.c.state == DeliveryState.DEAD, DELIVERIES.c.finished_at >= now - RECENT)
    return found.where(*lately)


def unasked(died_of: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell the callbacks that were given up from those that a person dropped."""
    return or_(died_of.is_(None), died_of != DROPPED)


def _given_up(session: Session, now: datetime, limit: int) -> int:
    """Count what died by no person's wish. Only where something died rows are read."""
    if not _count(session, lately_dead(now, DELIVERIES.c.state), limit):
        return 0
    some = lately_dead(now, DELIVERIES.c.died_of).limit(limit).subquery()
    return session.scalar(select(func.count()).where(unasked(some.c.died_of))) or 0


def _state(table: Any, state: str) -> Select[Any]:
    return select(table.c.state).where(table.c.state == state)


def _count(session: Session, rows: Select[Any], limit: int) -> int:
    return session.scalar(select(func.count()).select_from(rows.limit(limit).subquery())) or 0


def _due_orders(
    kernel: Kernel, session: Session, now: datetime, limit: int
) -> tuple[int, datetime | None]:
    """Return how many orders are due, and since when the first of them. Lane by lane.

    Of each lane as many are read as may be missing: so first one lane, then two, four, ...
    """
    found = [one for one in lanes(kernel, session) if one.first <= now]
    count, due, place, width = 0, (ORDERS.c.run_after <= now,), 0, 1
    while place < len(found) and count < limit:
        rows = along(found[place : place + width], select(ORDERS.c.state), due, limit - count)
        counted = select(func.count()).select_from(rows.limit(limit - count).subquery())
        count += session.scalar(counted) or 0
        place, width = place + width, min(LANES, 2 * width)
    return count, min((one.first for one in found), default=None)


def _pending_deliveries(
    session: Session, now: datetime, limit: int
) -> tuple[int, int, datetime | None]:
    """Return how many are pending, how many of them due, and since when the first of them."""
    moment = DELIVERIES.c.next_attempt_at
    pending = _state(DELIVERIES, DeliveryState.PENDING)
    some = pending.with_only_columns(moment).limit(limit).subquery()
    is_due = case((some.c.next_attempt_at <= now, 1))
    count, due = session.execute(select(func.count(), func.count(is_due)).select_from(some)).one()
    # From the lanes: the first of all may be beyond the limit.
    lanes = skip_scan(STATE_AND_LANE, func.min(moment)).where(
        DELIVERIES.c.state == DeliveryState.PENDING
    )
    return count, due, min((row[-1] for row in session.execute(lanes)), default=None)


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
