"""What steps cost, counted: statements and commits, as docs/performance.md has them."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from kernel.errors import Retry
from kernel.handlers import Run
from tests.performance.test_costs import PAGE, counting
from tests.support.handlers.stepping import Desk, MakeKernel

ROW = re.compile(r"^\| (a step[^|]*|a run [^|]*) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def costs(make_kernel: MakeKernel, url: str, steps: int) -> list[Counter[str]]:
    """Count two runs of an order, the first of which ends with a Retry."""

    def work(run: Run) -> None:
        for number in range(steps):
            run.step(f"step-{number}", int, "7")
        if run.number == 1:
            raise Retry

    found = []
    for _ in range(2):  # the first order warms caches and connections
        desk = Desk(make_kernel, url, work)
        found = []
        for _ in range(2):
            with counting(desk.kernel) as counted:
                desk.run()
            found.append(counted)
    return found


def test_steps_cost_what_the_page_says(make_kernel: Callable[..., Any], database_url: str) -> None:
    none, one, two = (costs(make_kernel, database_url, steps) for steps in (0, 1, 2))
    told = ("statements", "commits")
    found = {
        "a step, done": [one[0][what] - none[0][what] for what in told],
        "a run that is given steps back, however many": [
            one[1][what] - none[1][what] for what in told
        ],
    }
    assert found["a step, done"] == [two[0][what] - one[0][what] for what in told]
    assert [two[1][what] for what in told] == [one[1][what] for what in told]
    documented = {
        name: [int(statements), int(commits)]
        for name, statements, commits in ROW.findall(PAGE.read_text())
    }
    assert found == documented
