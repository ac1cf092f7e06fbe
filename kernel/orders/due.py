"""Orders that are due."""

from collections import defaultdict
from datetime import timedelta
from itertools import chain, zip_longest

from sqlalchemy import select

from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel


def due_orders(kernel: Kernel, limit: int, waiting: float = 0.0) -> list[str]:
    """Return up to ``limit`` orders of known tags, one of each caller in turn.

    They have been due for ``waiting`` seconds: one that became due just now has been hinted.
    """
    due = kernel.clock.now() - timedelta(seconds=waiting)
    with kernel.read_session() as session:
        rows = session.execute(
            select(ORDERS.c.caller_id, ORDERS.c.id)
            .where(
                ORDERS.c.state == OrderState.PENDING,
                ORDERS.c.run_after <= due,
                ORDERS.c.select_tag.in_(list(kernel.handlers)),
            )
            .order_by(ORDERS.c.run_after)
            .limit(limit)
        ).all()
    by_caller: dict[int, list[str]] = defaultdict(list)
    for caller_id, order_id in rows:
        by_caller[caller_id].append(order_id)
    return [i for i in chain.from_iterable(zip_longest(*by_caller.values())) if i is not None]


def waiting_longest(kernel: Kernel) -> float:
    """Return for how many seconds the oldest due order of a known tag waits; 0 if none does."""
    now = kernel.clock.now()
    with kernel.read_session() as session:
        oldest = session.scalar(
            select(ORDERS.c.run_after)
            .where(
                ORDERS.c.state == OrderState.PENDING,
                ORDERS.c.run_after <= now,
                ORDERS.c.select_tag.in_(list(kernel.handlers)),
            )
            .order_by(ORDERS.c.run_after)
            .limit(1)
        )
    return 0.0 if oldest is None else (now - oldest).total_seconds()


HINTS = 200
