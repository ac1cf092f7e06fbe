"""Orders by filter for callers and commands: along lanes where indexes answer, else by looking.

Pages of states, tags, callers, references and keys are always full. Other filters look at rows as
far as a budget goes: their page may be short, or empty, and still have a next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.orm import Session

from kernel.db.statements.keyset import Budget, Cursor
from kernel.filters.orders import OrderFilter
from kernel.insight.search.orders import BUDGET, find
from kernel.orders.pages import MAX_PAGE, PAGE, SUMMARY, LaneFilter, list_orders

# What lanes answer.
_BY_LANE = frozenset(
    (
        *("state", "select_tag", "caller_id", "reference", "ordering_key", "batch", "waiting"),
        *("since", "until", "ids", "tags", "as_callers_see"),
    )
)
# A command may look for longer than a page.
PATIENT = Budget(first=500, largest=8000, seconds=1.0)


@dataclass(frozen=True, slots=True)
class Listed:
    """Some orders, the newest first, for `order_summary`; ``next``: the cursor of the next page."""

    orders: Sequence[Row[Any]]
    next: str | None


def list_page(
    asked: Session | Connection,
    wanted: OrderFilter,
    before: str | None = None,
    limit: int = PAGE,
    budget: Budget = BUDGET,
) -> Listed:
    """Return up to ``limit`` orders below the id ``before``."""
    kept = {name: getattr(wanted, name) for name in wanted.kept()}
    if kept.keys() <= _BY_LANE:
        owner = kept.pop("caller_id", None)
        lanes = LaneFilter(before=before, limit=limit, **kept)
        orders = list_orders(asked, owner, lanes)
        full = len(orders) == min(limit, MAX_PAGE)
        return Listed(orders, orders[-1].id if full else None)
    cursor = None if before is None else Cursor((before,))
    found = find(asked, wanted, cursor, limit, budget, columns=SUMMARY)
    return Listed(found.orders, None if found.older is None else str(found.older.key[0]))


def first_orders(
    asked: Session | Connection, wanted: OrderFilter, before: str | None, limit: int
) -> Listed:
    """Return up to ``limit`` orders, looking for as long as it takes to find them."""
    orders: list[Row[Any]] = []
    while True:
        page = list_page(asked, wanted, before, limit - len(orders), PATIENT)
        orders += page.orders
        if page.next is None or len(orders) == limit:
            return Listed(orders, page.next)
        before = page.next
