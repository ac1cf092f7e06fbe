"""`kernel orders watch` and `kernel top`, in a real terminal and without one."""

import json
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import insert, update

from kernel.cli.terminal import screen
from kernel.cli.terminal.output import columns, cut
from kernel.cli.terminal.screen import Part, bar, drawn
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import Worker
from kernel.formats.envelope import rfc3339
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.factories import delivery as stored
from tests.support.factories import make_delivery, make_order
from tests.support.people.pseudoterminal import Person
from tests.support.people.terminal import Terminal

HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202eabc\r\n桥"


def env(terminal: Terminal) -> dict[str, str]:
    """The settings as a process gets them."""
    return {f"KERNEL_{name.upper()}": value for name, value in terminal.settings.items()}


@pytest.fixture
def person(terminal: Terminal) -> Any:
    """Runs commands in a terminal; at the end nothing runs any more."""
    opened: list[Person] = []

    def run(*command: str, size: tuple[int, int] = (80, 24)) -> Person:
        opened.append(Person(*command, env=env(terminal), size=size))
        return opened[-1]

    yield run
    for one in opened:
        one.__exit__()


Run = Callable[..., Person]


def change(kernel: Kernel, order_id: str, **values: Any) -> None:
    """Change an order's row, as a worker would."""
    with kernel.write_session() as session:
        session.execute(update(ORDERS).where(ORDERS.c.id == order_id).values(values))


def deliver(kernel: Kernel, delivery_id: str, **values: Any) -> None:
    """Change a delivery's row."""
    with kernel.write_session() as session:
        session.execute(update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(values))


def attempted(kernel: Kernel, delivery_id: str, **values: Any) -> None:
    """Insert an attempt."""
    row = {"delivery_id": delivery_id, "number": 1, "started_at": kernel.clock.now()}
    with kernel.write_session() as session:
        session.execute(insert(ATTEMPTS).values(row | {"duration_ms": 35, "phases": "{}"} | values))


def test_watch_draws_an_order_to_its_end_when_in_a_terminal(
    terminal: Terminal, person: Run
) -> None:
    kernel = terminal.kernel
    order_id = make_order(kernel)
    watching = person("orders", "watch", order_id)
    watching.sees("pending")
    change(kernel, order_id, state="running", progress_current=1, progress_total=4)
    watching.sees("25 %  1 of 4")
    change(kernel, order_id, progress_current=3, progress_note="nearly")
    said = watching.sees("75 %  3 of 4  nearly")
    assert "25 %" not in said
    assert said.count(order_id) == 1
    ended = {"state": "success", "message": "success", "finished_at": kernel.clock.now()}
    change(kernel, order_id, **ended, result='{"made": 4}', progress_current=4)
    delivery_id = make_delivery(kernel, order_id)
    watching.sees("callback pending")
    later = kernel.clock.now() + timedelta(hours=2)
    attempted(kernel, delivery_id, status=503, reason="http_5xx")
    deliver(kernel, delivery_id, attempt=1, next_attempt_at=later)
    watching.sees("pending, attempt 1, HTTP 503 in 35 ms, next in 2 h")
    attempted(kernel, delivery_id, number=2, status=200)
    deliver(kernel, delivery_id, state="delivered", attempt=2, finished_at=kernel.clock.now())
    assert watching.leaves() == 0
    said = watching.glass.text
    assert all(one in said for one in ("100 %", '{"made": 4}', "delivered, attempt 2, HTTP 200"))


@pytest.mark.parametrize(
    ("state", "code"), [("success", 0), ("warning", 0), ("failed", 1), ("cancelled", 1)]
)
def test_watch_tells_by_its_exit_code_how_the_order_ended(
    terminal: Terminal, state: str, code: int
) -> None:
    now = terminal.kernel.clock.now()
    error = {"error_code": "no"} if code else {"result": "{}"}
    order_id = make_order(terminal.kernel, state=state, finished_at=now, message="so", **error)
    make_delivery(terminal.kernel, order_id, state="dead", finished_at=now)
    said = terminal.run("orders", "watch", order_id, exit_code=code).stdout
    assert said == f"{state}  so  callback dead\n" if state != "success" else "so" in said


def test_watch_prints_a_line_of_json_per_change_when_asked(terminal: Terminal) -> None:
    kernel = terminal.kernel
    order_id = make_order(kernel)
    drain(kernel)
    done: Result = terminal.run("orders", "watch", order_id, "--json")
    (line,) = done.stdout.splitlines()
    shown = json.loads(line)
    assert (shown["order_id"], shown["state"]) == (order_id, "success")
    assert shown["deliveries"][0]["attempts"][0]["status"] == 200


def test_watch_fails_when_there_is_no_such_order(terminal: Terminal) -> None:
    said = terminal.run("orders", "watch", "nonsense", exit_code=1).stderr
    assert "there is no order nonsense" in said


@pytest.mark.parametrize("size", [(80, 24), (30, 6)])
def test_hostile_text_stays_in_its_line_when_drawn(
    terminal: Terminal, person: Run, size: tuple[int, int]
) -> None:
    hostile = {"progress_current": 1, "progress_note": HOSTILE * 20}
    order_id = make_order(terminal.kernel, state="running", **hostile)
    watching = person("orders", "watch", order_id, size=size)
    watching.sees("running")
    ended = {"message": HOSTILE, "error_code": "odd", "finished_at": terminal.kernel.clock.now()}
    change(terminal.kernel, order_id, state="failed", **ended)
    make_delivery(terminal.kernel, order_id, state="dead")
    assert watching.leaves() == 1
    assert watching.glass.unknown == []
    assert "\\u001b[2J" in watching.glass.text
    assert watching.glass.widest() <= size[0]


@pytest.mark.parametrize("command", ["watch", "top"])
@pytest.mark.parametrize(("end", "code"), [("key", 130), ("term", 143)])
def test_terminal_is_as_before_when_a_live_view_is_ended(
    terminal: Terminal, person: Run, command: str, end: str, code: int
) -> None:
    order_id = make_order(terminal.kernel)
    watching = person(*(["orders", "watch", order_id] if command == "watch" else ["top"]))
    watching.sees("pending")
    if end == "key":
        watching.presses(b"\x03")
    else:
        watching.process.send_signal(signal.SIGTERM)
    assert watching.leaves() == code
    assert watching.settings_are_back()
    assert {watching.glass.modes["25"], watching.glass.modes["7"]} == {"h"}
    assert watching.glass.modes.get("1049", "l") == "l"


def at_work(kernel: Kernel, **values: Any) -> None:
    """Insert a worker that is alive."""
    now = kernel.clock.now()
    row = {"id": "w1", "host": "build-桥", "pid": 4242, "kind": "worker", "started_at": now}
    with kernel.write_session() as session:
        session.execute(
            insert(Worker).values(row | {"seen_at": now, "running": "", "broken": ""} | values)
        )


def test_top_shows_what_changes_and_ends_with_q_when_in_a_terminal(
    terminal: Terminal, person: Run
) -> None:
    kernel = terminal.kernel
    order_id = make_order(kernel)
    watching = person("top")
    watching.sees("No worker is alive")
    watching.sees("pending 1 ")
    change(kernel, order_id, state="running", progress_current=3, progress_total=9)
    at_work(kernel, running=order_id)
    watching.sees(f"create_project 3 of 9 {order_id[:8]}")
    watching.sees("running 1 ")
    assert "No worker" not in watching.glass.text
    assert watching.glass.widest() <= 80
    watching.presses(b"q")
    assert watching.leaves() == 0
    assert watching.settings_are_back()


def test_top_prints_once_when_nobody_looks(terminal: Terminal) -> None:
    kernel = terminal.kernel
    make_order(kernel)
    make_delivery(kernel, state="dead", finished_at=kernel.clock.now())
    at_work(kernel, broken="https://a.example:443/receiver:7#3")
    said = terminal.run("top").stdout
    assert "\x1b" not in said
    words = ("pending 1 ", "success 1 ", "1 due for", "dead 1", "build-桥:4242")
    assert [one for one in words if one not in said] == []
    assert "holds back https://a.example:443, receiver 7 of caller 3" in said


def test_top_tells_machines_the_same_when_asked(terminal: Terminal) -> None:
    order_id = make_order(terminal.kernel, state="running")
    asked = {"asked": "drain", "asked_at": terminal.kernel.clock.now(), "quiet": True}
    runs = f'[["{order_id}", 1, "create_project", "2026-11-29T12:00:00+00:00", 600.0]]'
    at_work(terminal.kernel, running=order_id, runs=runs, version="1.2.3", **asked)
    owed = stored(terminal.kernel, make_delivery(terminal.kernel))
    shown = terminal.json("top")
    assert shown["backlog"]["first_callback_at"] == rfc3339(owed.next_attempt_at)
    assert (shown["processes"][0]["quiet"], shown["processes"][0]["version"]) == (True, "1.2.3")
    assert shown["orders"]["running"] == 1
    assert [one["key"] for one in shown["conditions"]] == ["broker_gone"]
    assert shown["backlog"]["orders_running"] == 1
    assert shown["processes"][0]["running"] == {order_id: "create_project"}


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("桥桥桥", 6, "桥桥桥"),
        ("桥桥桥", 5, "桥桥…"),
        ("桥桥桥", 4, "桥…"),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
        ("abc", 0, ""),
    ],
)
def test_text_is_cut_to_the_columns_there_are(text: str, width: int, expected: str) -> None:
    assert cut(text, width) == expected
    assert columns(expected) <= width


@pytest.mark.parametrize("percent", [0, 1, 50, 99, 100])
def test_bar_is_as_wide_as_it_is_told(percent: int) -> None:
    text = "".join(part.text for part in bar(percent, 20))
    assert len(text) == 20
    assert text.count("#") == 18 * percent // 100


def test_line_has_no_colours_when_nobody_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    line = [Part("a", "red"), Part(HOSTILE)]
    assert "\x1b[31m" in drawn(line, 100)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in drawn(line, 100)
    assert screen.is_terminal() is False
