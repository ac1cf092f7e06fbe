"""Finding orders for people: by state, caller, tag, host, time or text, newest first, in pages.

Every search is bounded, however many orders there are. An index answers state, caller, time, an id
and an idempotency key completely. For other filters the search goes through the orders from the
newest on until its budget is spent (20,000 orders or 20 ms), and the answer says how far it went;
its `older` cursor goes on from there.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, or_, select

from kernel.db.ids import ID
from kernel.db.statements.keyset import Budget, Cursor, Walk, Windows, id_range, take
from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS

PAGE = 25
BUDGET = Budget(first=500, largest=4000, seconds=0.02, rows=20_000)
# What a row of the list needs: no column that may be large.
_LISTED = ("id", "caller_id", "select_tag", "state", "created_at", "started_at", "finished_at")
_MORE = ("progress_current", "progress_total", "message", "error_code", "cancel_requested_at")
LISTED = tuple(ORDERS.c[name] for name in (*_LISTED, *_MORE))


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Which orders; None means any. ``text``: an id, an idempotency key, or words of arguments."""

    state: OrderState | None = None
    select_tag: str | None = None
    caller_id: int | None = None
    host: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


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
    connection: Connection,
    wanted: SearchFilter,
    cursor: Cursor | None = None,
    limit: int = PAGE,
    budget: Budget = BUDGET,
) -> Found:
    """Return the page of orders at ``cursor``, the newest without one. Takes a few statements.

    Its key is an order's id. ``budget`` bounds what a filter without an index may read.
    """
    if wanted.text is not None:
        named = _named(connection, wanted.text)
        if named is not None:
            return _page_of(connection, replace(wanted, text=None), named)
    return _page_at(connection, wanted, cursor, limit, budget)


def _named(connection: Connection, text: str) -> list[str] | None:
    """Return the ids of the orders that ``text`` is a name of; None when it names none."""
    if ID.fullmatch(text):
        of_delivery = select(DELIVERIES.c.order_id).where(DELIVERIES.c.id == text)
        return [text, *connection.scalars(of_delivery)]
    if not text.isascii():
        return None
    callers = select(Caller.id)
    by_key = select(ORDERS.c.id).where(
        ORDERS.c.caller_id.in_(callers), ORDERS.c.idempotency_key == text
    )
    return list(connection.scalars(by_key.limit(PAGE))) or None


def _page_of(connection: Connection, wanted: SearchFilter, ids: list[str]) -> Found:
    conditions = [ORDERS.c.id.in_(ids), *_all_of(wanted)]
    rows = connection.execute(select(*LISTED).where(*conditions).order_by(ORDERS.c.id.desc()))
    return Found(list(rows))


def _page_at(
    connection: Connection, wanted: SearchFilter, cursor: Cursor | None, limit: int, budget: Budget
) -> Found:
    up = cursor is not None and cursor.up
    walk, rest = _plan(wanted, up)
    windows = Windows(connection, walk, None if cursor is None else cursor.key, budget)
    page = take(windows, LISTED, rest, limit)
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


def _plan(wanted: SearchFilter, up: bool) -> tuple[Walk, list[ColumnElement[bool]]]:
    """Choose an index; return the walk along it, and the conditions that rows are looked at for.

    With both a state and a caller: most orders have succeeded, so that state narrows least.
    """
    rest = _all_of(replace(wanted, state=None, caller_id=None, since=None, until=None))
    span = id_range(ORDERS.c.id, wanted.since, wanted.until)
    state = _all_of(SearchFilter(state=wanted.state))
    caller = _all_of(SearchFilter(caller_id=wanted.caller_id))
    if state and not (caller and wanted.state is OrderState.SUCCESS):
        return _walk("ix_kernel_orders_state_id", [*state, *span], up), [*caller, *rest]
    if caller:
        return _walk("ix_kernel_orders_caller_id_id", [*caller, *span], up), [*state, *rest]
    return _walk("PRIMARY", span, up), rest


def _walk(index: str, where: list[ColumnElement[bool]], up: bool) -> Walk:
    return Walk(ORDERS, index, [ORDERS.c.id], where, up)


def _all_of(wanted: SearchFilter) -> list[ColumnElement[bool]]:
    """Return what is wanted as SQL conditions."""
    made: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        (wanted.state, lambda value: ORDERS.c.state == value),
        (wanted.select_tag, lambda value: ORDERS.c.select_tag == value),
        (wanted.caller_id, lambda value: ORDERS.c.caller_id == value),
        (wanted.host, _at_host),
        (wanted.text, _with_word),
    ]
    found = [condition(value) for value, condition in made if value is not None]
    return [*found, *id_range(ORDERS.c.id, wanted.since, wanted.until)]


def _at_host(host: str) -> ColumnElement[bool]:
    """Match callback addresses by host: with any port, or with the one given."""
    url = func.lower(ORDERS.c.callback_url)
    found = []
    for scheme in ("https", "http"):
        start = f"{scheme}://{host.lower()}"
        found.append(url == start)
        found += [url.startswith(start + end, autoescape=True) for end in "/:?"]
    return or_(*found)


def _with_word(text: str) -> ColumnElement[bool]:
    """Match arguments that hold these words in any case, as JSON writes them."""
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return func.instr(func.lower(ORDERS.c.args), func.lower(literal(written))) > 0
