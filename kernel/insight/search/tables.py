"""Rows as CSV (RFC 4180) or as one JSON array, piece by piece, however many there are. Pure."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
# A spreadsheet takes a cell that begins so for a formula, and runs it.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Excel reads a file as UTF-8 only with this in front.
BOM = "\ufeff"
TYPES = {"csv": "text/csv", "json": "application/json"}


def csv_pieces(columns: Sequence[str], batches: Iterable[Sequence[Row]]) -> Iterator[str]:
    """Yield the heading, and then the lines of each batch."""
    yield _lines([columns])
    for batch in batches:
        yield _lines([[_cell(row.get(name)) for name in columns] for row in batch])


def json_pieces(columns: Sequence[str], batches: Iterable[Sequence[Row]]) -> Iterator[str]:
    """Yield an array of objects with these members, each on its own line; it ends with a bracket.

    A file without the bracket is not whole.
    """
    separator = "[\n"
    for batch in batches:
        for row in batch:
            one = {name: row.get(name) for name in columns}
            yield separator + json.dumps(one, ensure_ascii=False)
            separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


PIECES = {"csv": csv_pieces, "json": json_pieces}


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a value as a cell that no program takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(FORMULAS):
        return f"'{value}"
    return value
