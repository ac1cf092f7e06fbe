"""`kernel errors`: what fails, since when, how often; resolved and opened again."""

import re
from datetime import timedelta

import pytest

from kernel.cli.commands.now.errors import drawn
from kernel.cli.filter_options import here
from kernel.filters.moments import Here, moment
from kernel.insight.workers.asking import drain
from tests.support.failures import BOOKED, PLACE, make_error
from tests.support.people.terminal import Terminal


def test_errors_are_listed_shown_resolved_and_reopened(terminal: Terminal) -> None:
    make_error(terminal.kernel, 2)
    listed = terminal.run("errors", "list").stdout
    assert BOOKED in listed
    assert PLACE in listed
    shown = terminal.run("errors", "show", BOOKED).stdout
    assert "Traceback:" in shown
    assert "    in book" in shown
    done = terminal.run("errors", "resolve", BOOKED, "--reason", "1.4.1").stdout
    assert done == f"{BOOKED}: resolved\n"
    assert "is resolved already" in terminal.run("errors", "resolve", BOOKED).stdout
    assert terminal.run("errors", "list").stdout == "no errors\n"
    (told,) = terminal.json("errors", "list", "--state", "resolved")["errors"]
    assert (told["count"], told["resolved_because"]) == (2, "1.4.1")
    assert "open again" in terminal.run("errors", "reopen", BOOKED).stdout
    assert "is open already" in terminal.run("errors", "reopen", BOOKED).stdout
    assert terminal.json("errors", "show", BOOKED)["failures"][0]["run"] == 1


def test_times_that_are_listed_are_what_a_filter_reads(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the shell is in another zone than UTC."""
    make_error(terminal.kernel)
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    listed = terminal.run("errors", "list").stdout
    first, last = re.findall(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}Z", listed)
    assert first == last
    now = terminal.kernel.clock.now()
    assert timedelta(0) < now - moment(last, Here(now, here().zone)) < timedelta(hours=1)
    drain(terminal.kernel, "node-3.example")
    shown = terminal.run("workers", "list").stdout + terminal.run("trends").stdout
    assert re.search(r"is drained since \S+ \S+Z by", shown)
    assert re.search(r"^\S+ \S+Z  host node-3.example drained by", shown, re.MULTILINE)


def test_status_tells_of_a_new_error(terminal: Terminal) -> None:
    make_error(terminal.kernel)
    said = terminal.run("status", exit_code=2).stdout
    assert f"New error in create_project: ValueError in {PLACE}." in said
    assert "docs/operations.md#a-new-error" in said


def test_unknown_error_and_wrong_cursor_are_one_line(terminal: Terminal) -> None:
    assert "there is no error" in terminal.run("errors", "show", "0" * 16, exit_code=1).output
    assert "next_cursor" in terminal.run("errors", "list", "--cursor", "x", exit_code=2).output


def test_course_is_drawn_from_nothing_to_the_most() -> None:
    assert drawn([]) == ""
    assert drawn([0, 0]) == "  "
    assert drawn([0, 1, 4, 8]) == " ▁▄█"
    assert drawn([1, 1000]) == "▁█"
