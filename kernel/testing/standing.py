"""How orders and their callbacks stand, and why, in the sentences that operators read."""

from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from kernel.db.states import OrderState
from kernel.db.tables.deliveries import Delivery
from kernel.db.tables.orders import Order
from kernel.delivery.redeliver import list_deliveries
from kernel.insight.standing.look import Look
from kernel.insight.standing.sentences import why_callback, why_work
from kernel.insight.standing.words import Words, said
from kernel.orders.gates.shown import gate_shown
from kernel.runtime.kernel import Kernel

# At most as many orders are told of; the rest is counted.
SHOWN = 10


def how_they_stand(kernel: Kernel, first: Sequence[str]) -> str:
    """Return a line for each order that has not ended, those of ``first`` before the others.

    ``first`` are ids of orders or of callbacks; they have a line also when they have ended.
    """
    with kernel.read_session() as session:
        lines = list(_lines(kernel, session, first))
    more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "".join(f"\n  {line}" for line in [*lines[:SHOWN], *more])


def _lines(kernel: Kernel, session: Session, first: Sequence[str]) -> Iterator[str]:
    owed = session.scalars(select(Delivery.order_id).where(Delivery.id.in_(first)))
    named = [*first, *owed]
    live = [one for one in OrderState if not one.is_final]
    found = {one.id: one for one in session.scalars(select(Order).where(Order.id.in_(named)))}
    others = select(Order).where(Order.state.in_(live), Order.id.not_in(named)).order_by(Order.id)
    for order in [*found.values(), *session.scalars(others)]:
        yield _line(kernel, session, order)


def _line(kernel: Kernel, session: Session, order: Order) -> str:
    look, words = Look(kernel, session, order, gate_shown(session, order)), Words("en")
    reference = f" {order.reference}" if order.reference else ""
    why = said(words, why_work(look.work()))
    line = f"{order.id} {order.select_tag}{reference}: {order.state}, run {order.run}: {why}"
    for delivery in list_deliveries(session, order.id):
        line += f"; callback: {delivery.state}, attempt {delivery.attempt}: "
        line += said(words, why_callback(look.callback(delivery)))
    return line
