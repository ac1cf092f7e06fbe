"""What recurring orders cost the sweep, counted, as docs/performance.md has it."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kernel.runtime.kernel import Kernel
from kernel.schedules import changes
from tests.performance.test_costs import PAGE, counting
from tests.support.recurring import NIGHTLY, row, swept, to

ROW = re.compile(r"^\| (a sweep[^|]*|a time[^|]*) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def counted(kernel: Kernel, fired: int) -> Counter[str]:
    """Count a sweep that fires so many."""
    with counting(kernel) as found:
        assert len(swept(kernel)) == fired
    return found


def test_recurring_orders_cost_what_the_page_says(
    make_kernel: Callable[..., Any], database_url: str
) -> None:
    kernel = make_kernel(database_url)
    for name in ("one", "two", "three"):
        changes.add(kernel, name, replace(NIGHTLY, reference=None))
    first = row(kernel, "one").next_at
    to(kernel, first)
    assert len(swept(kernel)) == 3  # warms caches and connections
    idle = counted(kernel, 0)
    to(kernel, row(kernel, "one").next_at)
    three = counted(kernel, 3)
    documented = {
        name: [int(statements), int(commits)]
        for name, statements, commits in ROW.findall(PAGE.read_text())
    }
    told = ("statements", "commits")
    assert documented == {
        "a sweep, however many schedules there are": [idle[what] for what in told],
        "a time that is fired": [(three[what] - idle[what]) // 3 for what in told],
    }
    assert (three["statements"] - idle["statements"]) % 3 == 0
