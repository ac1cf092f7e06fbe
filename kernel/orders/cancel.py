"""Cancel an order: a pending one at once, a running one at its next checkpoint."""

from sqlalchemy import select

from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.db.transactions import TRIES, retrying
from kernel.errors import Conflict, Unavailable
from kernel.orders.pages import get_order
from kernel.orders.transitions import end_order, ending, note_cancel
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
        if state.is_final:
            raise Conflict(f"the order has ended: {state}", state=state)
        if state is OrderState.RUNNING:
            return state if note_cancel(session, order_id, kernel.clock.now()) else None
        ended = end_order(kernel, session, held, ending(kernel, "cancelled"))
        return OrderState.CANCELLED if ended else None
