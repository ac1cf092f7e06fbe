"""Orders that would wait for each other for ever: a child that has the key of an order above it.

That order holds the key until it ends, so the child waits for it; and it waits for the child.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import ORDERS
from kernel.handlers.events import CHILDREN
from kernel.orders.gates.children import LIVE
from kernel.orders.gates.keys import has_key

# How many generations are looked at, and how many orders of each.
GENERATIONS, LOOKED_AT = 8, 1000


def refuse_knot(session: Session, order_id: str, gates: int | None) -> None:
    """Raise ValueError if an order is to wait for children of which one waits for it.

    ``gates``: as in its row. Looks at keys of the orders that wait above it, too; asks nothing for
    an order that has neither a key nor a parent.
    """
    held = _held(session, order_id, gates)
    above = [order_id]
    for _ in range(GENERATIONS if held else 0):
        below = _below(session, above)
        for one, key, _ in below:
            if key in held:
                raise ValueError(
                    f"Wait.children(): child {one} has the ordering key {key!r} of order "
                    f"{held[key]}, so it would begin when that has ended"
                )
        above = [one for one, _, has in below if has & Has.CHILDREN]
        if not above:
            return


def _held(session: Session, order_id: str, gates: int | None) -> dict[str, str]:
    """Return the keys of an order and of those that wait for it, each with the order's id."""
    held: dict[str, str] = {}
    if not has_key(gates) and not (gates or 0) & Has.PARENT:
        return held
    columns = (GATES.c.ordering_key, GATES.c.parent_id, GATES.c.waiting_for)
    one: str | None = order_id
    while one is not None:  # `kernel.runs.children` bounds how many there are
        row = session.execute(select(*columns).where(GATES.c.order_id == one)).one_or_none()
        if row is None or (one != order_id and row.waiting_for != CHILDREN):
            break
        if row.ordering_key is not None:
            held[row.ordering_key] = one
        one = row.parent_id
    return held


def _below(session: Session, parent_ids: Sequence[str]) -> list[tuple[str, str | None, int]]:
    """Return the live children of these orders that have keys or children themselves."""
    has = ORDERS.c.gates.op("&")(int(Has.KEY | Has.CHILDREN)) != 0
    asked = (
        select(GATES.c.order_id, GATES.c.ordering_key, ORDERS.c.gates)
        .join_from(GATES, ORDERS, ORDERS.c.id == GATES.c.order_id)
        .where(GATES.c.parent_id.in_(parent_ids), ORDERS.c.state.in_(LIVE), has)
        .limit(LOOKED_AT)
    )
    return [(row.order_id, row.ordering_key, row.gates) for row in session.execute(asked)]
