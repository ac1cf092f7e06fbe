"""Two databases side by side: pages of the source's rows, and what the target has of each.

Pages follow the primary key, whose values are sorted alike on every database: ids and tags are
compared byte for byte.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Table, func, select

from kernel.db.engine import READ_ONLY
from kernel.db.statements.keyset import Key, Walk

Told = Callable[[str], None]
Row = tuple[Any, ...]

# Rows of the first page and of the largest, and about how many bytes of text a page should have:
# orders may be large.
FIRST, LARGEST, PAGE_BYTES = 100, 2000, 2_000_000
PROGRESS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sides:
    """The database that rows come from, which is only read, and the one that they go to."""

    source: Engine
    target: Engine
    # In the order of their foreign keys.
    tables: Sequence[Table]
    # Called with a line of progress.
    told: Told


@dataclass(slots=True)
class Page:
    """Rows of the source that follow each other by key, and those that the target has there."""

    table: Table
    rows: list[Row]
    # Rows of the target by key; none beyond the page's last key, unless the page is the last.
    there: dict[Key, Row]

    def lacking(self) -> list[Row]:
        """Return the rows that the target has not."""
        return [row for row in self.rows if self.key(row) not in self.there]

    def difference(self) -> str | None:
        """Say in what the first row differs that both have, or that only the target has."""
        rows = {self.key(row): row for row in self.rows}
        for key, there in self.there.items():
            if key not in rows:
                return f"the target has {named(self.table, key)}, which the source has not"
            if there != rows[key]:
                pairs = zip(self.table.c, rows[key], there, strict=True)
                columns = ", ".join(one.name for one, a, b in pairs if a != b)
                return f"{named(self.table, key)} differs in {columns}"
        return None

    def key(self, row: Row) -> Key:
        """Return the values of the row's primary key."""
        return tuple(row[place] for place in _places(self.table))


@dataclass(slots=True)
class Progress:
    """Says every two seconds how far a table is. ``total``: its rows; None for unknown."""

    told: Told
    what: str
    total: int | None
    began: float = field(default_factory=time.monotonic)
    told_at: float = field(default_factory=time.monotonic)

    def at(self, done: int, *, last: bool = False) -> None:
        """Tell that ``done`` rows are done, unless something was told just now."""
        now = time.monotonic()
        if (last and (self.total or done)) or now - self.told_at >= PROGRESS_SECONDS:
            self.told_at = now
            of = "" if self.total is None else f" of {self.total}"
            rate = done / max(now - self.began, 0.001)
            self.told(f"{self.what}: {done}{of} rows, {rate:.0f} a second")


def pages(sides: Sides, table: Table) -> Iterator[Page]:
    """Yield the pages of a table; the last one may be empty. Raises the databases' errors."""
    size, edge = FIRST, None
    while True:
        rows = _read(sides.source, table, edge, size)
        is_last = len(rows) < size
        page = Page(table, rows, {})
        # Among as many rows of the target is one that the source has not, if there is any.
        there = {page.key(row): row for row in _read(sides.target, table, edge, size)}
        edge = page.key(rows[-1]) if rows else edge
        page.there = {key: row for key, row in there.items() if is_last or key <= (edge or ())}
        yield page
        if is_last:
            return
        size = max(1, min(LARGEST, size * 2, size * PAGE_BYTES // max(1, _weight(rows))))


def _read(engine: Engine, table: Table, edge: Key | None, limit: int) -> list[Row]:
    walk = Walk(table, "PRIMARY", list(table.primary_key), up=True)
    page = walk.along(select(*table.c), edge).limit(limit)
    with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        return [tuple(row) for row in connection.execute(page)]


def _weight(rows: list[Row]) -> int:
    return sum(len(one) for row in rows for one in row if isinstance(one, str | bytes))


def _places(table: Table) -> list[int]:
    return [place for place, column in enumerate(table.c) if column.primary_key]


def named(table: Table, key: Key) -> str:
    """Return a row's name for people: its table and its key."""
    names = (column.name for column in table.primary_key)
    pairs = (f"{name}={value}" for name, value in zip(names, key, strict=True))
    return f"{table.name} {' '.join(pairs)}"


def count(engine: Engine, table: Table) -> int:
    """Count the rows of a table."""
    with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)
