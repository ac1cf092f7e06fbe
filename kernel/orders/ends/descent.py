"""A cancel goes down to the children of an order: noted with its end, until they are cancelled.

They are cancelled in commits of their own, by a process that may die or find the database away
before the last of them. The note stands in the order's gate then, and the sweep goes on.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, select, update
from sqlalchemy.orm import Session

from kernel.db.states import OrderState, Outcome
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import OrderSnapshot
from kernel.runtime.kernel import Kernel

# What `Gate.waiting_for` says of an order that was cancelled, until its children are.
DESCENT = "descent"


def note_descent(
    kernel: Kernel, connection: Connection, order: OrderSnapshot, outcome: Outcome
) -> None:
    """Note in the commit that ends an order with children that they are to be cancelled.

    Writes nothing unless it was cancelled.
    """
    if outcome.state == OrderState.CANCELLED:
        noted = kernel.dialect.upsert(GATES, lambda new: {"waiting_for": new.waiting_for})
        of = {"order_id": order.id, "caller_id": order.caller_id}
        connection.execute(noted, of | {"waiting_for": DESCENT})


def forget_descent(kernel: Kernel, order_id: str) -> None:
    """Note that the children of an order are cancelled."""
    noted = (GATES.c.order_id == order_id, GATES.c.waiting_for == DESCENT)
    with kernel.write_one() as connection:
        connection.execute(update(GATES).where(*noted).values(waiting_for=None))


def descents() -> Select[Any]:
    """Select the orders whose children are to be cancelled yet, by an index."""
    return select(GATES.c.order_id).where(GATES.c.waiting_for == DESCENT)


def next_descents(session: Session, limit: int) -> Sequence[str]:
    """Return ``limit`` orders at the most whose children are to be cancelled yet."""
    in_turn = descents().order_by(GATES.c.accepted_at, GATES.c.order_id)
    return session.scalars(in_turn.limit(limit)).all()


def is_noted(session: Session, order_id: str) -> bool:
    """Tell whether children of an order are to be cancelled yet."""
    return session.scalar(descents().where(GATES.c.order_id == order_id)) is not None
