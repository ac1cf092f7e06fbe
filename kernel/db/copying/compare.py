"""Compares two databases row by row, and says what is in each table by count and hash.

Rows are compared as Python reads them, which is the same on every database.
"""

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import inspect

from kernel.db.copying.pages import Progress, Row, Sides, count, named, pages
from kernel.errors import Conflict


class TableSum(NamedTuple):
    """The rows of a table, and the SHA-256 of all of their values in the order of their keys."""

    name: str
    rows: int
    sha256: str


def compare_rows(sides: Sides) -> list[TableSum]:
    """Read both databases and return what is in each table, the same in both.

    Raises Conflict, which names table, key and columns, for the first row that differs, is missing
    at the target or stands only there; and the databases' errors.
    """
    return [_compare_table(sides, table) for table in sides.tables]


def left_out(sides: Sides) -> list[str]:
    """Return the source's tables, and the columns of copied tables, that are not copied.

    They are the application's: kernel does not know how to make them at the target.
    """
    found = inspect(sides.source)
    known = {table.name: table for table in sides.tables}
    versions = ("alembic_version", "kernel_alembic_version")
    left = [one for one in found.get_table_names() if one not in known and one not in versions]
    for name, table in known.items():
        columns = (one["name"] for one in found.get_columns(name))
        left += [f"{name}.{one}" for one in columns if one not in table.c]
    return sorted(left)


def _compare_table(sides: Sides, table: Any) -> TableSum:
    ours, theirs = hashlib.sha256(), hashlib.sha256()
    progress = Progress(sides.told, f"comparing {table.name}", count(sides.source, table))
    rows = 0
    for page in pages(sides, table):
        for row in page.lacking():
            raise Conflict(f"{named(table, page.key(row))} is missing at the target")
        if difference := page.difference():
            raise Conflict(difference)
        for row in page.rows:
            ours.update(canonical(row))
            theirs.update(canonical(page.there[page.key(row)]))
        rows += len(page.rows)
        progress.at(rows)
    if ours.digest() != theirs.digest() or rows != count(sides.target, table):
        raise Conflict(f"{table.name} differs in the kinds of its values, or has changed just now")
    return TableSum(table.name, rows, ours.hexdigest())


def canonical(row: Row) -> bytes:
    """Return the values of a row as bytes, each with its kind and its length before it."""
    return b"".join(map(_said, row)) + b"\n"


def _said(value: Any) -> bytes:
    match value:
        case None:
            return b"-"
        case bytes():
            kind, said = b"b", value
        case str():
            kind, said = b"s", value.encode()
        case datetime():
            kind, said = b"t", value.isoformat(timespec="microseconds").encode()
        case _:
            kind, said = b"n", str(int(value)).encode()
    return kind + str(len(said)).encode() + b":" + said
