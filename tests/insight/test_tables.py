"""Rows as files: whole, and harmless in a spreadsheet."""

import csv
import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kernel.insight.search.tables import FORMULAS, csv_pieces, json_pieces

CELLS = st.one_of(st.none(), st.integers(), st.text(max_size=20))
BATCHES = st.lists(st.lists(st.fixed_dictionaries({"a": CELLS, "b": CELLS}), max_size=3))


@given(BATCHES)
def test_array_is_the_rows_when_it_is_read_again(batches: list[list[dict[str, Any]]]) -> None:
    text = "".join(json_pieces(("a", "b"), batches))
    assert json.loads(text) == [row for batch in batches for row in batch]


@given(BATCHES)
def test_lines_are_the_rows_and_begin_no_formula(batches: list[list[dict[str, Any]]]) -> None:
    text = "".join(csv_pieces(("a", "b"), batches))
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == ["a", "b"]
    rows = [row for batch in batches for row in batch]
    for cells, row in zip(read[1:], rows, strict=True):
        for cell, name in zip(cells, ("a", "b"), strict=True):
            value = "" if row[name] is None else str(row[name])
            assert cell in (value, f"'{value}")
            assert not (isinstance(row[name], str) and cell.startswith(FORMULAS))
