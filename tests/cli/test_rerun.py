"""`kernel orders rerun`, and the steps that `kernel orders show` lists."""

import json

import pytest
from sqlalchemy import insert

from kernel.cli import opening
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.steps import STEPS
from tests.support.factories import CALLBACK, make_order, make_step, order, rows
from tests.support.people.terminal import Terminal

PROJECT = json.dumps({"projname": "Bridge", "prodesc": ""})


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens to hints here, so nobody waits for it."""
    monkeypatch.setattr(opening, "HINT_SECONDS", 0.0)


def stepped(terminal: Terminal, **values: object) -> str:
    kernel = terminal.kernel
    order_id = make_order(kernel, args=PROJECT, callback_url=CALLBACK, **values)
    make_step(kernel, order_id, 1, "vm", result='"vm-1"')
    failed = {"done_at": None, "result": None, "error": "OSError: gone\nnow"}
    make_step(kernel, order_id, 2, "dns", **failed)
    return order_id


def test_new_order_takes_over_the_steps_of_one_that_has_ended(terminal: Terminal) -> None:
    now = terminal.kernel.clock.now()
    kept = {"reference": "INC1", "priority": 1, "is_original": True}
    first = stepped(terminal, state="failed", finished_at=now, **kept)
    done = terminal.json("orders", "rerun", first, "--from", "dns")
    assert done["new"] is True
    shown = terminal.json("orders", "show", done["order_id"])
    assert (shown["rerun_of"], shown["reference"]) == (first, "INC1")
    assert [(one["name"], one["result"]) for one in shown["steps"]] == [("vm", "vm-1")]
    made = order(terminal.kernel, done["order_id"])
    assert (made.priority, made.is_original) == (1, True)


def test_live_order_is_due_again(terminal: Terminal) -> None:
    order_id = stepped(terminal)
    said = terminal.run("orders", "rerun", order_id, "--from", "vm").stdout
    assert said == f"due now: {order_id}\n"
    assert [one.attempts for one in rows(terminal.kernel, STEPS)] == [0, 0]


def test_unknown_step_is_refused_in_words(terminal: Terminal) -> None:
    done = terminal.run("orders", "rerun", stepped(terminal), "--from", "mail", exit_code=1)
    assert "the order has no step mail; there are: vm, dns" in done.stderr


def test_steps_are_a_table_of_the_order(terminal: Terminal) -> None:
    shown = terminal.run("orders", "show", stepped(terminal)).stdout
    for part in ("vm", "done", "dns", "failed", "1.5 s", "OSError: gone"):
        assert part in shown


def test_show_names_caller_key_and_request_and_tells_of_runs(terminal: Terminal) -> None:
    now = terminal.kernel.clock.now()
    asked = {"idempotency_key": "k-1", "request_id": "r-1"}
    order_id = make_order(terminal.kernel, state="failed", run=1, finished_at=now, **asked)
    ran = {"order_id": order_id, "run": 1, "began_at": now, "ended_at": now, "is_counted": True}
    bug = {"how": "bug", "error_type": "OSError", "place": "handlers.make", "traceback": "a\n\x1bb"}
    with terminal.kernel.write() as connection:
        connection.execute(insert(RUNS).values(ran | bug))
    shown = terminal.json("orders", "show", order_id)
    assert (shown["idempotency_key"], shown["request_id"]) == ("k-1", "r-1")
    assert shown["caller"]
    assert [(one["how"], one["error_type"]) for one in shown["runs"]] == [("bug", "OSError")]
    said = terminal.run("orders", "show", order_id).stdout
    assert "OSError, handlers.make" in said
    assert "\\u001bb" in said
    assert "\x1b" not in said
