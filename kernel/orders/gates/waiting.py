"""Orders that wait: those whose wait is over by the clock go on."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.orm import Session

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.orders.transitions import wake
from kernel.runtime.kernel import Kernel


def ended_waits(kernel: Kernel, limit: int) -> Sequence[str]:
    """Return up to ``limit`` orders that have waited for as long as they may, the longest first."""
    with kernel.read_session() as session:
        return session.scalars(
            select(GATES.c.order_id)
            .where(GATES.c.wakes_at <= kernel.clock.sql())
            .order_by(GATES.c.wakes_at)
            .limit(limit)
        ).all()


def end_wait(kernel: Kernel, order_id: str) -> bool:
    """Have an order go on whose wait has ended; False when it waits no longer, or for longer."""
    with kernel.write_session() as session:
        return wake(kernel, session, [order_id], GATES.c.wakes_at <= kernel.clock.sql()) != []


def gates_of(asked: Session | Connection, orders: Iterable[Any]) -> dict[str, Row[Any]]:
    """Return what those of ``orders`` that wait are waiting for, and since when, by their ids.

    Asks nothing where none waits.
    """
    ids = [one.id for one in orders if one.state == OrderState.WAITING]
    shown = select(GATES.c.order_id, GATES.c.waiting_for, GATES.c.waiting_since, GATES.c.wakes_at)
    found = asked.execute(shown.where(GATES.c.order_id.in_(ids))) if ids else ()
    # It may have gone on since it was read.
    return {row.order_id: row for row in found if row.waiting_for is not None}
