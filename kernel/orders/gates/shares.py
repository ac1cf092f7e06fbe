"""How many orders of a caller run at once: a caller may have a limit, its share of the workers."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, ScalarSelect, bindparam, distinct, func, select

from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.callers import Share
from kernel.db.tables.orders import ORDERS, OrderSnapshot

SHARES: Any = Share.__table__
_LOCK = Prepared(
    select(SHARES.c.max_running)
    .where(SHARES.c.caller_id == bindparam("caller_id"))
    .with_for_update()
)
_RUNNING = Prepared(
    select(func.count()).where(
        ORDERS.c.caller_id == bindparam("caller_id"),
        ORDERS.c.state == bindparam("state", OrderState.RUNNING),
    )
)
_COUNTED = (
    select(ORDERS.c.caller_id, func.count().label("running"))
    .where(ORDERS.c.state == OrderState.RUNNING)
    .group_by(ORDERS.c.state, ORDERS.c.caller_id)
    .subquery()
)
_PROCESSES = select(func.count(distinct(ORDERS.c.runner))).where(
    ORDERS.c.state == OrderState.RUNNING
)
_AT_WORK = Prepared(
    select(
        _COUNTED, SHARES.c.max_running, _PROCESSES.scalar_subquery().label("processes")
    ).outerjoin(SHARES, SHARES.c.caller_id == _COUNTED.c.caller_id)
)


_FULL = (
    select(SHARES.c.caller_id)
    .outerjoin(_COUNTED, _COUNTED.c.caller_id == SHARES.c.caller_id)
    .where(func.coalesce(_COUNTED.c.running, 0) >= SHARES.c.max_running)
)


def is_full(caller_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that as many orders of a caller run as may, counted once for all."""
    return caller_id.in_(_FULL)


def max_running_of(caller_id: ColumnElement[int]) -> ScalarSelect[Any]:
    """Ask for a caller's limit in the statement that has its id; null where it has none."""
    return select(SHARES.c.max_running).where(SHARES.c.caller_id == caller_id).scalar_subquery()


def has_room(connection: Connection, order: OrderSnapshot) -> bool:
    """Tell whether one more order of its caller may run; locks the share until the commit.

    The transaction must have locked no order before. Two claims never see the same room: the second
    one waits for the first one's commit, and then counts its order.
    """
    whose = {"caller_id": order.caller_id}
    for (most,) in _LOCK.rows(connection, whose):
        ((running,),) = _RUNNING.rows(connection, whose)
        return bool(running < most)
    return True


class AtWork(NamedTuple):
    """What runs now: in how many processes, and the callers of whom as many run as may."""

    processes: int
    full: frozenset[int]


def at_work(connection: Connection) -> AtWork:
    """Count what runs, by an index: an order in each process, or ten that share a commit."""
    rows = _AT_WORK.rows(connection, {})
    full = (caller for caller, running, most, _ in rows if most is not None and running >= most)
    return AtWork(rows[0][-1] if rows else 0, frozenset(full))
