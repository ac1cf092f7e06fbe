"""The end of an order's window: what has not begun by its not_after expires."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import FENCE, ORDERS, SNAPSHOT, OrderSnapshot
from kernel.orders.ends.outbox import ending
from kernel.orders.transitions import RunEnd, end_order
from kernel.runtime.kernel import Kernel

_MAY_EXPIRE = (OrderState.PENDING, OrderState.WAITING)
# As an UPDATE locks it: on PostgreSQL a reference to the order does not stand against that.
_STILL = select(ORDERS.c.id).where(FENCE).with_for_update(skip_locked=True, key_share=True)


def ended_windows(kernel: Kernel, limit: int) -> Sequence[str]:
    """Return up to ``limit`` orders whose windows have ended and were not closed, oldest first."""
    with kernel.read_session() as session:
        return session.scalars(
            select(GATES.c.order_id)
            .where(GATES.c.closes_at <= kernel.clock.sql())
            .order_by(GATES.c.closes_at)
            .limit(limit)
        ).all()


def close_window(kernel: Kernel, order_id: str) -> RunEnd | None:
    """End an order whose window has ended, unless it has begun; return its end if it did.

    One that runs is left to its run: if that was never begun, `decide` has it expire as the run is
    handed back, or the window is there again. So each window is closed once. One that may be handed
    back at this moment is left to the next sweep.
    """
    with kernel.write_session() as session:
        # Not locked: what its key and its limit have is locked first. The fence tells of a change.
        row = session.execute(
            select(*SNAPSHOT, ORDERS.c.started_at).where(ORDERS.c.id == order_id)
        ).one_or_none()
        end = None
        if row is not None:
            order = OrderSnapshot(*row[: len(SNAPSHOT)])
            if order.state in _MAY_EXPIRE and row.started_at is None:
                end = end_order(kernel, session, order, ending(kernel, "expired"))
                if end is None:  # it has begun meanwhile, say: the next sweep sees how it stands
                    return None
            runs = order.state == OrderState.RUNNING
            if runs and session.scalar(_STILL, order.fenced()) is None:
                return None
        leave_gate(session, order_id)
    return end


def leave_gate(session: Session, order_id: str) -> None:
    """Note that an order waits for no time any more: it has ended, or its window is over."""
    closed = update(GATES).where(GATES.c.order_id == order_id)
    session.execute(closed.values(opens_at=None, closes_at=None))
