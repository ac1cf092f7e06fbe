"""Finding orders for people: by state, caller, tag, host, time or text, newest first, in pages.

Every search is bounded, however many orders there are. An index answers state, caller, time, an id,
an idempotency key, an ordering key, a reference (or its beginning) and a parent completely. For
other filters the search goes through the orders from the newest on until its budget is spent
(20,000 orders or 20 ms), and the answer says how far it went; its `older` cursor goes on from
there.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.orm import Session

from kernel.db.statements.keyset import Budget, Cursor, Windows, take
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import plan_orders, settle

PAGE = 25
BUDGET = Budget(first=500, largest=4000, seconds=0.02, rows=20_000)
# What a row of the list needs: no column that may be large.
LISTED = tuple(
    ORDERS.c[name]
    for name in (
        *("id", "reference", "caller_id", "select_tag", "state", "callback_url", "error_code"),
        *("created_at", "run_after", "started_at", "finished_at", "cancel_requested_at"),
        *("progress_current", "progress_total", "message", "runner"),
    )
)


@dataclass(frozen=True, slots=True)
class Found:
    """One page, newest first. ``newer`` and ``older``: cursors of the pages around it.

    ``looked_at``: how many orders were gone through before the search stopped, short of its end
    and with less than a page found; None when nothing was left out.
    """

    orders: list[Any]
    newer: Cursor | None = None
    older: Cursor | None = None
    looked_at: int | None = None


def find(
    asked: Connection | Session,
    wanted: OrderFilter,
    cursor: Cursor | None = None,
    limit: int = PAGE,
    budget: Budget = BUDGET,
    columns: Sequence[Any] = LISTED,
) -> Found:
    """Return the page of orders at ``cursor``, the newest without one. Takes a few statements.

    Its key is an order's id. ``budget`` bounds what a filter without an index may read.
    """
    wanted = settle(asked, wanted)
    if wanted.states == ():  # two demands of the filter differ
        return Found([])
    up = cursor is not None and cursor.up
    walk, rest = plan_orders(wanted, up)
    windows = Windows(asked, walk, None if cursor is None else cursor.key, budget)
    page = take(windows, columns, rest, limit)
    rows = page.rows[::-1] if up else page.rows
    ahead = None if page.edge is None else Cursor(page.edge, up)
    behind = _behind(rows, cursor)
    newer, older = (ahead, behind) if up else (behind, ahead)
    return Found(rows, newer, older, page.looked_at)


def _behind(rows: list[Any], cursor: Cursor | None) -> Cursor | None:
    """Return the cursor of the page we came from: it is there because we came from it."""
    if cursor is None:
        return None
    key = (rows[-1 if cursor.up else 0].id,) if rows else cursor.key
    return Cursor(key, not cursor.up)


def callbacks_of(asked: Connection | Session, order_ids: Collection[str]) -> dict[str, Row[Any]]:
    """Return how the latest callback of each of these orders stands, by the order's id."""
    names = ("id", "order_id", "state", "died_of", "attempt", "next_attempt_at", "finished_at")
    query = select(*(DELIVERIES.c[name] for name in names))
    found = query.where(DELIVERIES.c.order_id.in_(order_ids)).order_by(DELIVERIES.c.id)
    return {row.order_id: row for row in asked.execute(found)} if order_ids else {}
