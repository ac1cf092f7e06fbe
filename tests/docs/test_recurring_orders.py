"""docs/recurring-orders.md: its commands, run as they stand there."""

import shlex
from pathlib import Path

from kernel.callers.audit import search
from kernel.callers.audit.search import ActFilter
from tests.support.howto import Page
from tests.support.people.terminal import Terminal

PAGE = Page(Path(__file__).resolve().parents[2] / "docs" / "recurring-orders.md")


def test_commands_of_the_page_work_as_they_stand_there(terminal: Terminal) -> None:
    said = [terminal.run(*command).stdout for command in PAGE.commands("schedules")]
    assert said[0].endswith(" 02:00 Europe/Berlin\n")
    assert "Europe/Berlin" in said[1]
    assert said[2].count(" 02:00 Europe/Berlin  20") == 5
    assert said[-1] == "nightly: removed\n"
    (order,) = terminal.json("orders", "list")["orders"]
    assert (order["select_tag"], order["reference"]) == ("create_project", "NIGHTLY")
    with terminal.kernel.read() as connection:
        verbs = {act["verb"] for act in search.find(connection, ActFilter())}
    told = PAGE.text.split("(operations.md#audit-trail): ")[1].split(". ")[0]
    words = [one.strip("`").removeprefix("schedule.") for one in shlex.split(told.replace(",", ""))]
    assert verbs == {f"schedule.{one}" for one in words}
