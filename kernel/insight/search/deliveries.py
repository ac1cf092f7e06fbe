"""Deliveries by filter, a page at a time.

A filter that no index answers looks at rows for some 20 ms, in windows, and then says how far it
went: the next page goes on from there. So finding a rare host among a million deliveries takes many
requests, none of them slow.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kernel.db.ids import ID
from kernel.db.statements.keyset import Budget, Cursor, Windows, take
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.filters.callbacks import CallbackFilter, plan_callbacks
from kernel.formats.envelope import rfc3339
from kernel.formats.moments import moment

PAGE = 50
BUDGET = Budget(first=250, largest=4000, seconds=0.02)
# One turn of a search that goes on until it has found enough.
LONG_BUDGET = Budget(first=250, largest=4000, seconds=2.0)
COLUMNS = tuple(
    DELIVERIES.c[name]
    for name in (
        *("id", "order_id", "caller_id", "origin", "url", "state", "created_at"),
        *("next_attempt_at", "finished_at", "attempt", "claim_token", "died_of"),
    )
)
# What is shown of a callback's order.
OF_ORDER = ("id", "reference", "select_tag", "state", "error_code")


@dataclass(frozen=True, slots=True)
class Page:
    """Some deliveries, the newest first."""

    rows: list[Any]
    # Each delivery's latest attempt, by the delivery's id.
    latest: Mapping[str, Any]
    # Where to go on: an id, or an end and an id, as the filter's index has them; None at the end.
    next: Cursor | None
    # Their orders, by id: what they are called, and how they stand.
    orders: Mapping[str, Any]
    # False: the page is not full because the budget was spent at `next`.
    complete: bool

    @property
    def references(self) -> dict[str, str]:
        """The references of the orders that have one, by the order's id."""
        named = {id: row.reference for id, row in self.orders.items()}
        return {id: reference for id, reference in named.items() if reference is not None}


def page(
    session: Session,
    wanted: CallbackFilter,
    below: Cursor | None,
    limit: int,
    budget: Budget = BUDGET,
) -> Page:
    """Return up to ``limit`` deliveries below ``below``, with their latest attempts.

    A cursor of another filter's order is none: the page begins at the newest.
    """
    walk, rest = plan_callbacks(wanted)
    edge = None if below is None or len(below.key) != len(walk.columns) else below.key
    found = take(Windows(session, walk, edge, budget), COLUMNS, rest, limit)
    latest = _latest(session, [row.id for row in found.rows])
    goes_on = None if found.edge is None else Cursor(found.edge)
    orders = _orders(session, {row.order_id for row in found.rows})
    return Page(found.rows, latest, goes_on, orders, len(found.rows) == limit or goes_on is None)


def first_callbacks(
    session: Session, wanted: CallbackFilter, below: Cursor | None, limit: int
) -> Page:
    """Return up to ``limit`` callbacks, looking for as long as it takes to find them."""
    rows: list[Any] = []
    latest: dict[str, Any] = {}
    orders: dict[str, Any] = {}
    while True:
        found = page(session, wanted, below, limit - len(rows), LONG_BUDGET)
        rows += found.rows
        latest |= found.latest
        orders |= found.orders
        if found.next is None or len(rows) == limit:
            return Page(rows, latest, found.next, orders, True)
        below = found.next


def cursor_of(text: str) -> Cursor | None:
    """Read where a page begins, as `written_cursor` wrote it; None for what is no cursor."""
    end, _, id = text.rpartition("~")
    ended = moment(end) if end else None
    if not ID.fullmatch(id) or (end and ended is None):
        return None
    return Cursor((ended, id) if end else (id,))


def read_cursor(text: str | None, wanted: CallbackFilter) -> Cursor | None:
    """Read where a page of the callbacks ``wanted`` begins; None, at the newest, without a text.

    Raises ValueError for what no page of theirs has named: to begin again would be an endless list.
    """
    if text is None:
        return None
    found = cursor_of(text)
    if found is None or len(found.key) != len(plan_callbacks(wanted)[0].columns):
        raise ValueError("give the next_cursor of an answer to the same filter")
    return found


def written_cursor(cursor: Cursor) -> str:
    """Write a cursor for an address: an id, or the end of a callback and its id."""
    *ends, id = cursor.key
    return "".join(f"{rfc3339(end)}~" for end in ends) + str(id)


def _orders(session: Session, ids: Collection[str]) -> dict[str, Any]:
    """Return what is shown of these orders beside their callbacks, by id."""
    query = select(*(ORDERS.c[name] for name in OF_ORDER)).where(ORDERS.c.id.in_(ids))
    return {row.id: row for row in session.execute(query)} if ids else {}


def _latest(session: Session, ids: list[str]) -> dict[str, Any]:
    """Return the latest attempt of each of these deliveries that has one."""
    newest = (
        select(func.max(ATTEMPTS.c.id).label("id"))
        .where(ATTEMPTS.c.delivery_id.in_(ids))
        .group_by(ATTEMPTS.c.delivery_id)
        .subquery()
    )
    names = ("delivery_id", "number", "started_at", "status", "reason", "judged")
    columns = [ATTEMPTS.c[name] for name in names]
    query = select(*columns).join_from(newest, ATTEMPTS, newest.c.id == ATTEMPTS.c.id)
    return {row.delivery_id: row for row in session.execute(query)} if ids else {}
