"""docs/scaling.md: its arithmetic is that of the costs that test_costs.py counts."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
FLUSH = 0.2
# Two figures in a cell: alone, and under load.
ROW = re.compile(
    r"^\| [^|]+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+), ([\d.]+) \| (\d+), (\d+) \|$", re.MULTILINE
)
ROWS = ROW.findall((DOCS / "scaling.md").read_text())
COST = re.compile(r"^\| `create_project` \| (run|next) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def test_arithmetic_of_scaling_has_its_rows_where_it_is_read() -> None:
    assert len(ROWS) == 4
    assert f"a flush of {FLUSH} ms" in (DOCS / "scaling.md").read_text().replace("\n", " ")


@pytest.mark.parametrize("row", ROWS, ids=[row[2] for row in ROWS])
def test_arithmetic_of_scaling_is_right_for_what_an_order_costs(row: tuple[str, ...]) -> None:
    trip, added, *figures = map(float, row)
    costs = {
        stage: counts for stage, *counts in COST.findall((DOCS / "performance.md").read_text())
    }
    for stage, waits, rate in zip(("run", "next"), figures[:2], figures[2:], strict=True):
        statements, commits = map(int, costs[stage])
        expected = (statements + commits) * trip + commits * (FLUSH + added)
        assert waits == pytest.approx(expected, abs=0.005)
        assert rate == pytest.approx(1000 / expected, abs=1)
