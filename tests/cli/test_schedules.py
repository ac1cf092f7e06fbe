"""`kernel schedules`: what it prints, what it refuses and in which words."""

from typing import Any

import pytest
from sqlalchemy import update

from kernel.callers import keys
from kernel.db.tables.schedules import SCHEDULES
from tests.support.people.terminal import Terminal

ARGS = '{"projname": "Bridge 桥", "prodesc": "over the river"}'
NIGHTLY = (
    *("schedules", "add", "nightly", "--caller", "anonymous", "--cron", "0 2 * * *"),
    *("--zone", "Europe/Berlin", "--tag", "create_project", "--args", ARGS),
    *("--callback-url", "none"),
)


def shown(terminal: Terminal) -> Any:
    return terminal.json("schedules", "show", "nightly")


def changed(*options: str) -> list[str]:
    """The command that adds the schedule, with these options in place of its own."""
    typed = list(NIGHTLY)
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name in typed:
            typed[typed.index(name) + 1] = value
        else:
            typed += [name, value]
    return typed


def test_schedule_is_added_listed_shown_changed_and_removed(terminal: Terminal) -> None:
    assert terminal.run("schedules", "list").stdout == "no recurring orders\n"
    said = terminal.run(*NIGHTLY, "--reference", "BACKUP").stdout
    assert said.startswith("nightly: added; next: 20")
    assert said.endswith(" 02:00 Europe/Berlin\n")
    found = shown(terminal)
    assert len(found["next_times"]) == 5
    assert found["next_times"][0] == found["next_at"]
    assert found["args"] == {"projname": "Bridge 桥", "prodesc": "over the river"}
    assert (found["callback_url"], found["reference"], found["catch_up"]) == (None, "BACKUP", "1h")
    (listed,) = terminal.json("schedules", "list", "--caller", "anonymous")["schedules"]
    assert listed | {"next_times": found["next_times"]} == found
    terminal.run("schedules", "list", "--caller", "nobody", exit_code=1)
    table = terminal.run("schedules", "list").stdout
    assert "nightly  anonymous  0 2 * * *  Europe/Berlin" in table
    words = terminal.run("schedules", "show", "nightly").stdout
    assert words.count(" 02:00 Europe/Berlin  20") == 5
    typed = ("--cron", "30  4 * * *", "--catch-up", "30m", "--reference", "")
    assert "nightly: changed; next: " in terminal.run("schedules", "set", "nightly", *typed).stdout
    found = shown(terminal)
    assert (found["cron"], found["catch_up"], found["reference"]) == ("30 4 * * *", "30m", None)
    again = terminal.run("schedules", "set", "nightly", "--zone", "Europe/Berlin").stdout
    assert "it was so already" in again
    assert terminal.run("schedules", "remove", "nightly").stdout == "nightly: removed\n"
    terminal.run("schedules", "show", "nightly", exit_code=1)


def test_schedule_is_paused_resumed_and_run_now(terminal: Terminal) -> None:
    terminal.run(*NIGHTLY)
    assert terminal.run("schedules", "pause", "nightly").stdout == "nightly: paused\n"
    assert "paused already" in terminal.run("schedules", "pause", "nightly").stdout
    assert "paused" in terminal.run("schedules", "list").stdout
    assert shown(terminal)["next_times"] == []
    assert "no next time" in terminal.run("schedules", "show", "nightly").stdout
    order_id = terminal.json("schedules", "run-now", "nightly")["order_id"]
    found = shown(terminal)
    assert (found["last_order_id"], found["last_order_state"]) == (order_id, "pending")
    assert terminal.json("orders", "show", order_id)["args"]["projname"] == "Bridge 桥"
    assert terminal.run("schedules", "run-now", "nightly").stdout.startswith("nightly: order 0")
    assert "nightly: resumed; next: " in terminal.run("schedules", "resume", "nightly").stdout
    assert "it was not paused" in terminal.run("schedules", "resume", "nightly").stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--cron", "0 2 * *"), "/cron: '0 2 * *' has 4 fields, and these are five: minute, hour,"),
        (("--cron", "99 2 * * *"), "/cron: '99 2 * * *' is no cron expression: bad minute"),
        (("--zone", "Mars/Phobos"), "/zone: 'Mars/Phobos' is no time zone that is known here;"),
        (("--tag", "nothing"), "/select_tag: no handler has this tag"),
        (("--args", "{}"), "/args/projname: Field required"),
        (("--args", '{"projname": "x", "reference": "y"}'), "/args/reference: belongs to the sch"),
        (("--callback-url", "http://10.0.0.1/"), "/callback_url: "),
        (("--callback-url", "receiver:desk"), "/callback_url: you have no receiver named desk"),
        (("--reference", " x"), "/reference: a reference is 1 to 255 characters"),
        (("--catch-up", "8d"), "/catch_up: from 1m to 7d"),
        (
            ("--args", ARGS[:-1] + ', "not_after": "2030-01-01T00:00:00Z"}'),
            "/args/not_after: is one moment, and the order recurs",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_words(
    terminal: Terminal, options: tuple[str, ...], says: str
) -> None:
    done = terminal.run(*changed(*options), exit_code=1)
    assert done.stderr.startswith("Error: The schedule is not valid. ")
    assert says in done.stderr
    assert terminal.json("schedules", "list")["schedules"] == []


def test_every_problem_is_told_at_once(terminal: Terminal) -> None:
    options = ("--cron", "x", "--zone", "y", "--catch-up", "1s", "--tag", "z")
    said = terminal.run(*changed(*options), exit_code=1).stderr
    assert [one for one in ("/cron", "/zone", "/catch_up", "/select_tag") if one not in said] == []


def test_wrong_words_on_the_command_line_are_told(terminal: Terminal) -> None:
    for options, says in (
        (("--args", "[]"), "'[]' is no JSON object such as '{\"host\": \"db1\"}'"),
        (("--catch-up", "soon"), "'soon' is no duration; write 90s, 5m, 2h or 4d"),
    ):
        assert says in terminal.run(*changed(*options), exit_code=2).stderr
    typed = list(NIGHTLY)
    del typed[typed.index("--cron") : typed.index("--cron") + 2]
    assert "--cron is missing" in terminal.run(*typed, exit_code=2).stderr
    terminal.run(*NIGHTLY)
    assert "say what to change" in terminal.run("schedules", "set", "nightly", exit_code=2).stderr
    assert "named nightly already" in terminal.run(*NIGHTLY, exit_code=1).stderr
    typed = [*NIGHTLY]
    typed[2] = "night ly"
    assert "/name: letters, digits" in terminal.run(*typed, exit_code=1).stderr


def test_no_schedule_is_made_or_run_for_a_caller_whose_keys_are_revoked(
    terminal: Terminal,
) -> None:
    kernel = terminal.kernel
    with kernel.write_session() as session:
        keys.add(session, "zammad", kernel.clock.now())
    terminal.run(*changed("--caller", "zammad"))
    terminal.run("callers", "revoke", "zammad")
    said = terminal.run("schedules", "run-now", "nightly", exit_code=1).stderr
    assert "all keys of zammad are revoked" in said
    typed = changed("--caller", "zammad")
    typed[2] = "another"
    assert "all keys of zammad are revoked" in terminal.run(*typed, exit_code=1).stderr
    said = terminal.run(*changed("--caller", "nobody"), exit_code=1).stderr
    assert "no caller named nobody" in said


def test_sweep_fires_what_is_due(terminal: Terminal) -> None:
    terminal.run(*changed("--cron", "* * * * *"))
    kernel = terminal.kernel
    with kernel.write() as connection:
        connection.execute(update(SCHEDULES).values(next_at=kernel.clock.sql()))
    assert terminal.json("sweep")["hinted"] == 1
    assert shown(terminal)["last_order_state"] == "pending"
