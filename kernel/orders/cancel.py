"""Cancel an order: a pending one at once, a running one at its next checkpoint."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kernel.db.states import FINAL, OrderState, Outcome
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.db.transactions import TRIES, retrying, rowcount
from kernel.errors import (
    Conflict,
    Unavailable,
)
from kernel.formats.texts import text
from kernel.orders.pages import get_order
from kernel.runtime.kernel import Kernel


def cancel(kernel: Kernel, caller_id: int | None, order_id: str) -> OrderState:
    """Cancel an order: a pending one at once, a running one at its next checkpoint.

    Returns the state it is in now: ``cancelled``, or ``running`` when the request was noted and
    the handler has not seen it yet (a finish that comes first wins). Cancelling a cancelled
    order changes nothing. Raises NotFound, or Conflict when it has ended otherwise.
    """
    for _ in range(TRIES):
        state = retrying(lambda: _cancel(kernel, caller_id, order_id))
        if state is not None:
            return state
    raise Unavailable(retry_after=1)


def _cancel(kernel: Kernel, caller_id: int | None, order_id: str) -> OrderState | None:
    """Return the state it is in now, or None when it changed under our hands."""
    with kernel.write_session() as session:
        get_order(session, caller_id, order_id)
        held = OrderSnapshot(
            *session.execute(select(*SNAPSHOT).where(ORDERS.c.id == order_id)).one()
        )
        state = OrderState(held.state)
        if state is OrderState.CANCELLED:
            return state
        if state in FINAL:
            raise Conflict(f"the order has ended: {state}", state=state)
        if state is OrderState.RUNNING:
            return state if _note_cancel(kernel, session, order_id) else None
        message = text("cancelled", kernel.settings.language)
        outcome = Outcome(OrderState.CANCELLED, message, error_code="cancelled")
        return OrderState.CANCELLED if kernel.finish(session, held, outcome) else None


def _note_cancel(kernel: Kernel, session: Session, order_id: str) -> bool:
    noted = session.execute(
        update(ORDERS)
        .where(ORDERS.c.id == order_id, ORDERS.c.state == OrderState.RUNNING)
        .values(cancel_requested_at=kernel.clock.now())
    )
    return rowcount(noted) == 1
