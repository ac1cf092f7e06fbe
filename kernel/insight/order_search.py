"""Finding orders for people: by state, caller, tag, host, time or text, newest first, in pages.

Every look is bounded, however many orders there are. What an index answers is answered whole:
state, caller, time, an id, an idempotency key. For the rest the orders are gone through from the
newest on, `ROWS` of them or for `SECONDS` at the most, and the answer says how far that came;
its `older` cursor goes on from there.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal, or_, select, union_all

from kernel.db.columns import by_index
from kernel.db.ids import ID, first_id
from kernel.db.states import OrderState
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.orders import ORDERS

PAGE = 25
ROWS = 20_000
SECONDS = 0.02
WINDOWS = (500, 1000, 2000, 4000)
# A count for a tab stops here.
COUNTED = 10_000
# What a row of the list needs; nothing that may be large.
_LISTED = ("id", "caller_id", "select_tag", "state", "created_at", "started_at", "finished_at")
_MORE = ("progress_current", "progress_total", "message", "error_code", "cancel_requested_at")
LISTED = tuple(ORDERS.c[name] for name in (*_LISTED, *_MORE))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which orders; None means any. ``text``: an id, an idempotency key, or words of arguments."""

    state: OrderState | None = None
    select_tag: str | None = None
    caller_id: int | None = None
    host: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: at the orders older than an id, or at those newer than one."""

    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One page, newest first. ``newer`` and ``older``: cursors of the pages around it.

    ``looked_at``: how many orders were gone through before the search stopped, short of its end
    and with less than a page found; None when nothing was left out.
    """

    orders: list[Any]
    newer: str | None = None
    older: str | None = None
    looked_at: int | None = None


def find(
    connection: Connection, wanted: Wanted, cursor: Cursor | None = None, limit: int = PAGE
) -> Found:
    """Return the page of orders at ``cursor``, the newest without one. Takes a few statements."""
    cursor = cursor or Cursor()
    text = wanted.text
    if text is not None:
        named = _named(connection, text)
        if named is not None:
            return _page_of(connection, replace(wanted, text=None), named)
    return _Search(connection, wanted, cursor, limit).page()


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


def _page_of(connection: Connection, wanted: Wanted, ids: list[str]) -> Found:
    conditions = [ORDERS.c.id.in_(ids), *_all_of(wanted)]
    rows = connection.execute(select(*LISTED).where(*conditions).order_by(ORDERS.c.id.desc()))
    return Found(list(rows))


class _Search:
    """One look through the orders, along one index and in one direction."""

    def __init__(self, connection: Connection, wanted: Wanted, cursor: Cursor, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._cursor = cursor
        self._back = cursor.after is not None and cursor.before is None
        self._index, self._along, self._rest = _plan(wanted)

    def page(self) -> Found:
        """Go along until a page and one more are found, or it has been enough."""
        edge = self._cursor.after if self._back else self._cursor.before
        rows: list[Any] = []
        looked, ended = 0, False
        if not self._rest:
            rows, ended = self._straight(edge), True
        else:
            started = time.monotonic()
            for size in _sizes():
                edge, seen = self._window(edge, size, rows)
                looked += seen
                if ended := seen < size:
                    break
                if len(rows) > self._limit or time.monotonic() - started > SECONDS:
                    break
        return self._found(rows, edge, None if ended else looked)

    def _straight(self, edge: str | None) -> list[Any]:
        query = self._ordered(select(*LISTED), edge).limit(self._limit + 1)
        return list(self._connection.execute(query))

    def _window(self, edge: str | None, size: int, rows: list[Any]) -> tuple[str | None, int]:
        """Look at the next ``size`` orders, add what fits to ``rows``; return where they end."""
        ids = self._ordered(select(ORDERS.c.id), edge).limit(size).subquery()
        last = func.max(ids.c.id) if self._back else func.min(ids.c.id)
        far, seen = self._connection.execute(select(last, func.count()).select_from(ids)).one()
        if seen:
            fitting = select(*LISTED).join(ids, ids.c.id == ORDERS.c.id).where(*self._rest)
            fitting = fitting.order_by(self._order()).limit(self._limit + 1 - len(rows))
            rows += self._connection.execute(fitting)
        return far or edge, seen

    def _ordered(self, query: Select[Any], edge: str | None) -> Select[Any]:
        """Go along the index from ``edge`` on."""
        conditions = list(self._along)
        if edge is not None:
            conditions.append(ORDERS.c.id > edge if self._back else ORDERS.c.id < edge)
        query = by_index(query, ORDERS, self._index)
        return query.where(*conditions).order_by(self._order())

    def _order(self) -> Any:
        return ORDERS.c.id.asc() if self._back else ORDERS.c.id.desc()

    def _found(self, rows: list[Any], edge: str | None, looked: int | None) -> Found:
        """Cut the page to its size and say what lies before and behind it."""
        more = len(rows) > self._limit
        rows = rows[: self._limit]
        if self._back:
            rows.reverse()
        goes_on = more or looked is not None
        beyond = (rows[0 if self._back else -1].id if more else edge) if goes_on else None
        behind = self._behind(rows)
        newer, older = (beyond, behind) if self._back else (behind, beyond)
        return Found(rows, newer, older, None if more else looked)

    def _behind(self, rows: list[Any]) -> str | None:
        """The cursor of the page we came from, which is there because we came from it."""
        if self._cursor.before is None and self._cursor.after is None:
            return None
        if rows:
            return str(rows[-1 if self._back else 0].id)
        return self._cursor.after if self._back else self._cursor.before


def _sizes() -> list[int]:
    """Windows that grow: what is found soon costs little, what is rare few round trips."""
    sizes = list(WINDOWS)
    while sum(sizes) < ROWS:
        sizes.append(WINDOWS[-1])
    return sizes


def _plan(
    wanted: Wanted,
) -> tuple[str, list[ColumnElement[bool]], list[ColumnElement[bool]]]:
    """Choose an index; return its name, the conditions it answers, and those to look at rows for.

    With both a state and a caller: most orders have succeeded, so that state narrows least.
    """
    rest = _all_of(replace(wanted, state=None, caller_id=None, since=None, until=None))
    span = _all_of(Wanted(since=wanted.since, until=wanted.until))
    state = _all_of(Wanted(state=wanted.state))
    caller = _all_of(Wanted(caller_id=wanted.caller_id))
    if state and not (caller and wanted.state is OrderState.SUCCESS):
        return "ix_orders_state_id", [*state, *span], [*caller, *rest]
    if caller:
        return "ix_orders_caller_id_id", [*caller, *span], [*state, *rest]
    return "PRIMARY", span, rest


def _all_of(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Return what is wanted as SQL conditions; ids are made with the time, so they are ranged."""
    made: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        (wanted.state, lambda value: ORDERS.c.state == value),
        (wanted.select_tag, lambda value: ORDERS.c.select_tag == value),
        (wanted.caller_id, lambda value: ORDERS.c.caller_id == value),
        (wanted.host, _at_host),
        (wanted.since, lambda value: ORDERS.c.id >= first_id(value)),
        (wanted.until, lambda value: ORDERS.c.id < first_id(value)),
        (wanted.text, _with_word),
    ]
    return [condition(value) for value, condition in made if value is not None]


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
    """Match arguments that hold these words, whatever their case, as JSON writes them."""
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    return func.instr(func.lower(ORDERS.c.args), func.lower(literal(written))) > 0


def count_states(connection: Connection) -> dict[str, int]:
    """Count the orders of each state, up to `COUNTED`: one statement, from one index."""
    return {row.state: row.number for row in connection.execute(_COUNT_STATES)}


def _count_state(state: OrderState) -> Select[str, int]:
    rows = select(ORDERS.c.state).where(ORDERS.c.state == state).limit(COUNTED).subquery()
    columns = literal(str(state)).label("state"), func.count().label("number")
    return select(*columns).select_from(rows)


_COUNT_STATES = union_all(*(_count_state(state) for state in OrderState))
