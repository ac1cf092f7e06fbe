"""Pages by key: a walk along an index, from a row on, in one of two directions, in windows.

A `Walk` names the index and the conditions that it answers by itself. A `Cursor` says where a page
begins and in which direction it goes. Rows that fulfil further conditions are looked for in
`Windows` of the walk, which grow until a `Budget` of rows or seconds is spent. A page from the end
of a table of millions reads as many rows as one from its beginning.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Subquery, and_, or_, select
from sqlalchemy.orm import Session

from kernel.db.columns import Query, by_index
from kernel.db.ids import first_id

# The values of a walk's key columns in one row.
Key = tuple[Any, ...]
# More rows than a window has. With a limit MariaDB reads a window for itself, and along its index.
ALL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: at the next row below ``key``, or above it if it goes ``up``."""

    key: Key
    up: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """An index of a table, gone through downwards (the highest key first) or ``up``.

    ``columns``: the key, the last of them unique. ``where``: conditions that the index answers.
    """

    table: Any
    index: str
    columns: Sequence[ColumnElement[Any]]
    where: Sequence[ColumnElement[bool]] = ()
    up: bool = False

    def along(self, query: Query, edge: Key | None) -> Query:
        """Take rows from the index, in its order: those beyond ``edge``, or all without one.

        The index is named. By its own choice MariaDB would not jump to the edge, nor to the end of
        a range of times: it would read all rows that are newer.
        """
        query = by_index(query, self.table, self.index).where(*self.where)
        if edge is not None:
            query = query.where(_beyond(self.columns, edge, self.up))
        return query.order_by(*self.order(self.columns))

    def order(self, columns: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        """Return how to order by the key, as it stands in ``columns``."""
        return [column.asc() if self.up else column.desc() for column in columns]

    def key(self, row: Any) -> Key:
        """Return the key of a row that has the key's columns."""
        return tuple(getattr(row, str(column.key)) for column in self.columns)


def _beyond(columns: Sequence[ColumnElement[Any]], edge: Key, up: bool) -> ColumnElement[bool]:
    column, value = columns[0], edge[0]
    further: ColumnElement[bool] = column > value if up else column < value
    if len(columns) == 1:
        return further
    # Said twice: the index can begin with the first part.
    reached = column >= value if up else column <= value
    return and_(reached, or_(further, and_(column == value, _beyond(columns[1:], edge[1:], up))))


def _until(columns: Sequence[ColumnElement[Any]], end: Key, up: bool) -> ColumnElement[bool]:
    column, value = columns[0], end[0]
    reached: ColumnElement[bool] = column <= value if up else column >= value
    if len(columns) == 1:
        return reached
    before = column < value if up else column > value
    return and_(reached, or_(before, and_(column == value, _until(columns[1:], end[1:], up))))


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one look may read, at the most.

    Windows begin with ``first`` rows and double up to ``largest``: a frequent match costs few
    rows, a rare one few round trips. After ``rows`` rows or ``seconds`` seconds no window begins
    but the first.
    """

    first: int
    largest: int
    seconds: float
    rows: int | None = None

    def sizes(self) -> Iterator[int]:
        """Yield the sizes of windows until the budget is spent."""
        size, taken, deadline = self.first, 0, time.monotonic() + self.seconds
        while True:
            yield size
            taken += size
            if time.monotonic() >= deadline or (self.rows is not None and taken >= self.rows):
                return
            size = min(2 * size, self.largest)


@dataclass(slots=True)
class Windows:
    """The windows of a walk from ``edge`` on, as subqueries of its key columns.

    ``edge`` moves to the end of each window that is gone through to its end. Rows come and go
    between two statements. So the end is asked for first, and the window is what lies before it,
    however much that is by then: nothing is passed over, and nothing is in two windows.
    """

    connection: Connection | Session
    walk: Walk
    edge: Key | None
    budget: Budget
    # Rows of the windows that were gone through.
    looked_at: int = 0
    # True: there is nothing beyond the last window.
    ended: bool = False

    def __iter__(self) -> Iterator[Subquery]:
        for size in self.budget.sizes():
            near = self.walk.along(select(*self.walk.columns), self.edge)
            last = self.connection.execute(near.offset(size - 1).limit(1)).one_or_none()
            if last is not None:
                near = near.where(_until(self.walk.columns, tuple(last), self.walk.up))
            yield near.limit(ALL).subquery()
            if last is None:
                self.ended = True
                return
            self.looked_at += size
            self.edge = tuple(last)


@dataclass(frozen=True, slots=True)
class Slice:
    """Up to a page of rows, in the order of their walk."""

    rows: list[Any]
    # Where the walk goes on; None at its end.
    edge: Key | None
    # The rows gone through, when the budget was spent before the page was full; else None.
    looked_at: int | None = None


def take(
    windows: Windows, columns: Sequence[Any], rest: Sequence[ColumnElement[bool]], limit: int
) -> Slice:
    """Return up to ``limit`` rows of a walk that fulfil ``rest``, too, with these columns.

    Without ``rest`` by one statement, and whole; else window by window, as far as the budget goes.
    """
    walk, rows = windows.walk, list[Any]()
    if not rest:
        page = walk.along(select(*columns), windows.edge).limit(limit + 1)
        rows += windows.connection.execute(page)
        windows.ended = True
    else:
        table = walk.table
        for window in windows:
            near = [window.c[str(column.key)] for column in walk.columns]
            fitting = select(*columns).join_from(window, table, near[-1] == walk.columns[-1])
            # By its own choice MariaDB may begin with all rows that fulfil one of the conditions.
            fitting = by_index(fitting, table, "PRIMARY")
            fitting = fitting.where(*rest).order_by(*walk.order(near))
            rows += windows.connection.execute(fitting.limit(limit + 1 - len(rows)))
            if len(rows) > limit:
                break
    if len(rows) > limit:
        return Slice(rows[:limit], walk.key(rows[limit - 1]))
    return Slice(rows, None) if windows.ended else Slice(rows, windows.edge, windows.looked_at)


def id_range(
    column: ColumnElement[str], since: datetime | None, until: datetime | None
) -> list[ColumnElement[bool]]:
    """Return conditions for rows made in ``[since, until)``; ids are made with the time."""
    found: list[ColumnElement[bool]] = []
    if since is not None:
        found.append(column >= first_id(since))
    if until is not None:
        found.append(column < first_id(until))
    return found
