"""How much waits, and for how long: numbers from the rows, each from one index and bounded.

For `/metrics`. A count stops at `LIMIT`, so that a look at a backlog never adds to it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.statements.prepared import Prepared
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE
from kernel.db.tables.orders import ORDERS
from kernel.orders.due import LANES, along, lanes
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import DROPPED

LIMIT = 50_000
# How many rows of what died lately are read at either end of the time.
READ = 10_000
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


class _Counts(NamedTuple):
    pending: int
    due: int
    held: int
    dead: int
    running: int
    waiting: int


def backlog(kernel: Kernel, limit: int = LIMIT) -> Backlog:
    """Count what waits, by two to five short queries, each number up to ``limit``."""
    now = kernel.clock.now()
    with kernel.read_session() as session:
        connection = session.connection()
        due, oldest_due = _due_orders(kernel, session, now, limit)
        values = {"now": now, "since": now - RECENT, "limit": limit}
        counts = _Counts(*_COUNTS.rows(connection, values)[0])
        lanes_of_callbacks = _LANES.rows(connection, {}) if counts.pending else []
        oldest_callback = min((row[-1] for row in lanes_of_callbacks), default=None)
        return Backlog(
            orders_due=due,
            orders_due_oldest=_age(oldest_due, now),
            orders_running=counts.running,
            orders_waiting=counts.waiting,
            deliveries_due=counts.due,
            deliveries_due_oldest=_age(oldest_callback, now),
            deliveries_pending=counts.pending,
            deliveries_held=counts.held,
            deliveries_dead=_given_up(session, now, limit) if counts.dead else 0,
            first_callback_at=oldest_callback,
        )


def given_up(now: datetime, order: Any, *columns: Any, read: int = READ) -> Select[Any]:
    """Return the callbacks that died within `RECENT`, without those that a person dropped.

    ``order`` is that of ``finished_at``. No index knows the dropped ones, which are read and passed
    over: ``read`` rows in all. What lies behind as many of them is found from the other end.
    """
    its = (DELIVERIES.c.finished_at, DELIVERIES.c.died_of, *columns)
    some = _dead_since(now - RECENT, *its).order_by(order).limit(read).subquery()
    return select(some).where(unasked(some.c.died_of))


def unasked(died_of: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell the callbacks that were given up from those that a person dropped."""
    return or_(died_of.is_(None), died_of != DROPPED)


def _given_up(session: Session, now: datetime, limit: int) -> int:
    """Count what died by no person's wish. Reads rows, so only where something died."""
    for order in (DELIVERIES.c.finished_at.desc(), DELIVERIES.c.finished_at.asc()):
        some = given_up(now, order, read=max(limit, READ))
        count: int = session.scalar(some.with_only_columns(func.count())) or 0
        if count:
            return min(count, limit)
    return 0


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


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())


def _counted(rows: Select[Any]) -> ScalarSelect[int]:
    some = rows.limit(bindparam("limit", type_=Integer)).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _dead_since(since: Any, *columns: Any) -> Select[Any]:
    found = by_index(select(*columns), DELIVERIES, "ix_kernel_deliveries_state_finished_at")
    is_dead = DELIVERIES.c.state == literal_column(f"'{DeliveryState.DEAD}'")
    return found.where(is_dead, DELIVERIES.c.finished_at >= since)


def _state(table: Any, state: str) -> Select[Any]:
    return select(table.c.state).where(table.c.state == literal_column(f"'{state}'"))


def _counts() -> Prepared:
    """Make the statement that counts all but due orders, in the order of `_Counts`."""
    moment = DELIVERIES.c.next_attempt_at
    now, since = (bindparam(name, type_=moment.type) for name in ("now", "since"))
    pending = _state(DELIVERIES, DeliveryState.PENDING).with_only_columns(moment)
    some = pending.limit(bindparam("limit", type_=Integer)).subquery()
    counted: list[Any] = [
        func.count(),
        func.count(case((some.c.next_attempt_at <= now, 1))),
        _counted(_state(DELIVERIES, DeliveryState.HELD)),
        _counted(_dead_since(since, DELIVERIES.c.state)),
        _counted(_state(ORDERS, OrderState.RUNNING)),
        _counted(_state(ORDERS, OrderState.WAITING)),
    ]
    return Prepared(select(*counted).select_from(some))


_COUNTS = _counts()
# From the lanes: the first of all may be beyond the limit of what is counted.
_LANES = Prepared(
    skip_scan(STATE_AND_LANE, func.min(DELIVERIES.c.next_attempt_at)).where(
        DELIVERIES.c.state == DeliveryState.PENDING
    )
)
