"""How much waits, and for how long: numbers from the rows, each from one index and bounded.

For `/metrics`. A count stops at `LIMIT`, so that a look at a backlog never adds to it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from kernel.models import DELIVERIES, ORDERS
from kernel.runtime import Kernel
from kernel.states import DeliveryState, OrderState

LIMIT = 100_000
# Older dead callbacks are history: somebody has seen them, or nobody will.
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


def backlog(kernel: Kernel) -> Backlog:
    """Count what waits, by six short queries."""
    now = kernel.clock.now()
    with kernel.reading() as session:
        due, oldest_due = _due_orders(session, now)
        pending, callbacks, oldest_callback = _pending_deliveries(session, now)
        return Backlog(
            orders_due=due,
            orders_due_oldest=_age(oldest_due, now),
            orders_running=_count(session, _state(ORDERS, OrderState.RUNNING)),
            deliveries_due=callbacks,
            deliveries_due_oldest=_age(oldest_callback, now),
            deliveries_pending=pending,
            deliveries_held=_count(session, _state(DELIVERIES, DeliveryState.HELD)),
            deliveries_dead=_count(
                session,
                _state(DELIVERIES, DeliveryState.DEAD).where(
                    DELIVERIES.c.finished_at >= now - RECENT
                ),
            ),
        )


def _state(table: Any, state: str) -> Select[Any]:
    return select(table.c.state).where(table.c.state == state)


def _count(session: Session, rows: Select[Any]) -> int:
    return session.scalar(select(func.count()).select_from(rows.limit(LIMIT).subquery())) or 0


def _due_orders(session: Session, now: datetime) -> tuple[int, datetime | None]:
    due = (
        select(ORDERS.c.run_after)
        .where(ORDERS.c.state == OrderState.PENDING, ORDERS.c.run_after <= now)
        .order_by(ORDERS.c.run_after)
        .limit(LIMIT)
        .subquery()
    )
    count, oldest = session.execute(select(func.count(), func.min(due.c.run_after))).one()
    return count, oldest


def _pending_deliveries(session: Session, now: datetime) -> tuple[int, int, datetime | None]:
    """Return how many wait, how many of them are due, and since when the first."""
    pending = (
        select(DELIVERIES.c.next_attempt_at)
        .where(DELIVERIES.c.state == DeliveryState.PENDING)
        .limit(LIMIT)
        .subquery()
    )
    moment = pending.c.next_attempt_at
    is_due = func.count(case((moment <= now, 1)))
    count, due, first = session.execute(select(func.count(), is_due, func.min(moment))).one()
    return count, due, first


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
