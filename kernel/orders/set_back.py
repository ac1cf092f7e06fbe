"""What orders are due by, once the database's clock was set back; see `from_now`.

Moments that a caller gave stay.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, update

from kernel.db.columns import UTCDateTime, by_index
from kernel.db.statements.set_back import MOST, from_now, move
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS
from kernel.orders.decide import Why
from kernel.orders.due import LANES, NEVER_PUT_OFF, along, lanes
from kernel.orders.gates.limits.known import limits
from kernel.runtime.kernel import Kernel


def bring_orders_forward(kernel: Kernel) -> int:
    """Make orders due that wait because the clock was set back; 0 when none was to be moved.

    Due at once, or when their windows open: what was never put off, and what was made due by the
    end of a wait. What a run has put off waits from now for as long as it was put off for. Reads
    all orders that are due later, so it is for the rare case.
    """
    now = kernel.clock.sql()
    is_later = or_(ORDERS.c.not_before.is_(None), ORDERS.c.not_before < ORDERS.c.run_after)
    was_free = and_(or_(ORDERS.c.run == 0, RUNS.c.how == Why.WAIT), _has_no_turn(kernel))
    at_once = and_(is_later, or_(NEVER_PUT_OFF, was_free))
    columns = (ORDERS.c.id, ORDERS.c.run_after, ORDERS.c.not_before, RUNS.c.ended_at)
    # The last run, if it has ended without an outcome.
    last = and_(RUNS.c.order_id == ORDERS.c.id, RUNS.c.run == ORDERS.c.run)
    rows = select(*columns, at_once.label("at_once"), now.label("now")).outerjoin_from(
        ORDERS, RUNS, last
    )
    where = (ORDERS.c.run_after > now, or_(at_once, RUNS.c.ended_at > now))
    found = list[Any]()
    with kernel.read_session() as session:
        all_lanes = lanes(kernel, session)
        for n in range(0, len(all_lanes), LANES):
            early = along(all_lanes[n : n + LANES], rows, where, MOST).limit(MOST)
            found += session.execute(early)
    moved = [
        {"order": row.id, "was": row.run_after, "due": due} for row in found if (due := _due(row))
    ]
    move(kernel.write, _MOVE, moved)
    return len(found) if moved else 0


def _due(row: Any) -> datetime | None:
    """Return when an order is due now; None where that does not change."""
    if row.at_once:
        due: datetime = max(row.now, row.not_before or row.now)
        return due
    return from_now(row.run_after, row.ended_at, row.now)


def _has_no_turn(kernel: Kernel) -> ColumnElement[bool]:
    """Tell of orders that do not wait for the turn of a rate, or for longer than any is away."""
    known = limits(kernel)
    rates = [limit.rate for tag in known.tags if (limit := known.of(tag)) is not None]
    longest = max((rate.spacing for rate in rates if rate is not None), default=timedelta())
    has_limit = func.coalesce(ORDERS.c.gates, 0).op("&")(int(Has.LIMIT)) != 0
    return or_(~has_limit, ORDERS.c.run_after > kernel.clock.sql(longest))


_MOVE = (
    update(ORDERS)
    .where(
        ORDERS.c.id == bindparam("order"),
        ORDERS.c.state == OrderState.PENDING,
        ORDERS.c.run_after == bindparam("was", type_=UTCDateTime()),
    )
    .values(run_after=bindparam("due", type_=UTCDateTime()))
)


def bring_waits_forward(kernel: Kernel) -> int:
    """Have orders wait no longer than they were to, from now; 0 when that changed for none."""
    now = kernel.clock.sql()
    columns = (GATES.c.order_id, GATES.c.wakes_at, GATES.c.waiting_since, now.label("now"))
    where = (GATES.c.wakes_at > now, GATES.c.waiting_since > now)
    with kernel.read() as connection:
        rows = by_index(select(*columns), GATES, "ix_kernel_gates_wakes_at")
        found = connection.execute(rows.where(*where).limit(MOST)).all()
    moved = [
        {
            "order": row.order_id,
            "since": row.waiting_since,
            "now": row.now,
            "until": row.now + (row.wakes_at - row.waiting_since),
        }
        for row in found
    ]
    move(kernel.write, _MOVE_WAIT, moved)
    return len(found)


_MOVE_WAIT = (
    update(GATES)
    .where(
        GATES.c.order_id == bindparam("order"),
        GATES.c.waiting_since == bindparam("since", type_=UTCDateTime()),
    )
    .values(
        waiting_since=bindparam("now", type_=UTCDateTime()),
        wakes_at=bindparam("until", type_=UTCDateTime()),
    )
)
