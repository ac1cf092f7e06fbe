"""How much waits, and for how long: numbers from the rows, each from one index and bounded.

For `/metrics`. A count stops at `LIMIT`, so that a look at a backlog never adds to it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel

LIMIT = 50_000
# Only deliveries that died within this time are counted; older ones are history.
RECENT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits at one moment; ages in seconds, 0 when nothing waits."""

    orders_due: int
    orders_due_oldest: float
    orders_running: int
    deliveries_due: int
    deliveries_due_oldest: float
    deliveries_pending: int
    deliveries_held: int
    deliveries_dead: int


def backlog(kernel: Kernel, limit: int = LIMIT) -> Backlog:
    """Count what waits, by seven short queries, each number up to ``limit``."""
    now = kernel.clock.now()
    dead = DELIVERIES.c.finished_at >= now - RECENT
    with kernel.read_session() as session:
        due, oldest_due = _due_orders(session, now, limit)
        pending, callbacks, oldest_callback = _pending_deliveries(session, now, limit)
        return Backlog(
            orders_due=due,
            orders_due_oldest=_age(oldest_due, now),
            orders_running=_count(session, _state(ORDERS, OrderState.RUNNING), limit),
            deliveries_due=callbacks,
            deliveries_due_oldest=_age(oldest_callback, now),
            deliveries_pending=pending,
            deliveries_held=_count(session, _state(DELIVERIES, DeliveryState.HELD), limit),
            deliveries_dead=_count(
                session, _state(DELIVERIES, DeliveryState.DEAD).where(dead), limit
            ),
        )


def _state(table: Any, state: str) -> Select[Any]:
    return select(table.c.state).where(table.c.state == state)


def _count(session: Session, rows: Select[Any], limit: int) -> int:
    return session.scalar(select(func.count()).select_from(rows.limit(limit).subquery())) or 0


def _due_orders(session: Session, now: datetime, limit: int) -> tuple[int, datetime | None]:
    """Return how many orders are due, and since when the first of them."""
    due = _state(ORDERS, OrderState.PENDING).where(ORDERS.c.run_after <= now)
    moment = ORDERS.c.run_after
    first = due.with_only_columns(moment).order_by(moment).limit(1)
    return _count(session, due, limit), session.scalar(first)


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
