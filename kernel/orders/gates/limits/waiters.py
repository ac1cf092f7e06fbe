"""The orders that wait at a place of a limit, in their order."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from kernel.db.columns import UTCDateTime
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS, OrderSnapshot
from kernel.orders.gates.limits.known import Place
from kernel.orders.gates.shares import is_full

# Where the callers of the first that wait are full, one that may begin is looked for among these.
PASSED = 20
_FIRST = (
    select(
        *(GATES.c.order_id, ORDERS.c.run, GATES.c.accepted_at),
        is_full(ORDERS.c.caller_id).label("is_full"),
    )
    .join(ORDERS, ORDERS.c.id == GATES.c.order_id)
    .where(
        GATES.c.waiting_for == bindparam("waiting_for"),
        ORDERS.c.state == OrderState.WAITING,
    )
    .order_by(GATES.c.accepted_at, GATES.c.order_id)
    .limit(bindparam("most"))
)


def waiting(connection: Connection, place: Place, most: int) -> Sequence[Any]:
    """Return the orders that wait at a place, the first accepted first, with their runs.

    Those of full callers (`is_full`) come after the others of the first `PASSED`.
    """
    asked = {"waiting_for": place.waiting_for, "most": most}
    found = connection.execute(_FIRST, asked).all()
    if any(row.is_full for row in found):
        more = connection.execute(_FIRST, asked | {"most": most + PASSED}).all()
        found = sorted(more, key=lambda row: bool(row.is_full))[:most]
    return found


def args_of(connection: Connection, order_id: str) -> str | None:
    """Return an order's arguments, which say at which place of its tag it stands."""
    found: str | None = connection.scalar(select(ORDERS.c.args).where(ORDERS.c.id == order_id))
    return found


def note_acceptance(connection: Connection, order: OrderSnapshot) -> None:
    """Note on what an order waits with when it was accepted: that is its place in the line."""
    connection.execute(_ACCEPTED, {"of": order.id, "at": order.created_at})


_ACCEPTED = (
    update(GATES)
    .where(GATES.c.order_id == bindparam("of"))
    .values(accepted_at=bindparam("at", type_=UTCDateTime()))
)
