"""`kernel status`: what is wrong, in words and as JSON, with an exit code for monitoring."""

from datetime import timedelta

from sqlalchemy import text

from kernel.db.ids import new_id
from kernel.insight.trends import rows
from kernel.insight.workers import Heartbeat
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_delivery, make_order
from tests.support.people.terminal import Terminal
from tests.support.servers import Redis


def works(kernel: Kernel) -> None:
    """Have a worker be alive."""
    with kernel.write_session() as session:
        now = kernel.clock.now()
        Heartbeat("worker", now).note(session, now, [], [])


def test_status_is_one_line_and_0_when_nothing_is_wrong(terminal: Terminal, redis: Redis) -> None:
    terminal.settings["broker_url"] = redis.url(1)
    works(terminal.kernel)
    first, *counted = terminal.run("status").stdout.splitlines()
    assert first == "ok        Nothing is wrong."
    assert counted[0].startswith("last hour   accepted 0   success 0   warning 0   failed 0")
    assert counted[1].split() == ["callbacks", "delivered", "0", "callbacks", "dead", "0"]
    assert terminal.json("status")["status"] == "ok"


def test_status_tells_the_change_of_a_window_when_rows_reach_back(terminal: Terminal) -> None:
    now = terminal.kernel.clock.now()
    for minutes in (1, 2, 3, 70, 71, 130):
        at = now - timedelta(minutes=minutes)
        make_order(terminal.kernel, id=new_id(at), created_at=at)
    while rows.write(terminal.kernel, timedelta(hours=3)):
        pass
    assert "last hour   accepted 3 (+50%)" in terminal.run("status", exit_code=2).stdout
    assert "last hour   accepted 3 (+50%)" in terminal.run("top", "--once").stdout
    day = terminal.json("status", "--span", "day", exit_code=2)["window"]
    assert (day["span"], day["accepted"]) == ("day", {"now": 6, "before": None})
    assert terminal.json("top")["window"]["accepted"] == {"now": 3, "before": 2}


def test_status_is_0_when_a_person_paused_a_host(terminal: Terminal, redis: Redis) -> None:
    terminal.settings["broker_url"] = redis.url(1)
    works(terminal.kernel)
    pause(terminal.kernel, Subject(host="receiver.example"))
    said = terminal.run("status").stdout
    assert said.startswith("notice    Paused: callbacks to receiver.example, by kernel.")
    assert terminal.json("status")["status"] == "ok"


def test_status_is_1_for_a_warning_and_2_for_what_is_critical(terminal: Terminal) -> None:
    works(terminal.kernel)
    said = terminal.run("status", exit_code=1).stdout
    assert said.startswith("warning   The broker does not answer")
    assert "docs/operations.md#redis-or-rabbitmq-is-gone" in said
    terminal.kernel.clock.shift(60)
    with terminal.kernel.write_session() as session:
        session.execute(text("DELETE FROM kernel_workers"))
    late = terminal.kernel.clock.now() - timedelta(minutes=10)
    make_order(terminal.kernel, run_after=late, reference="INC0012345")
    make_delivery(terminal.kernel, state="dead", finished_at=late, died_of="gone")
    told = terminal.json("status", exit_code=2)
    assert told["status"] == "critical"
    assert [one["key"] for one in told["conditions"]] == [
        *("no_worker", "broker_gone", "orders_wait", "dead_callbacks"),
    ]
    assert "INC0012345" in told["conditions"][2]["message"]
    assert told["conditions"][2]["since"] is not None
    assert told["conditions"][3]["mend"]


def test_status_is_2_and_says_why_when_the_database_was_never_migrated(
    empty_terminal: Terminal,
) -> None:
    said = empty_terminal.run("status", exit_code=2).stdout
    assert "The database is at migration none" in said
    assert "kernel migrate" in said


def test_status_is_2_and_says_why_when_the_database_does_not_answer(terminal: Terminal) -> None:
    terminal.settings["database_url"] = "mysql+pymysql://kernel:secret@127.0.0.1:1/kernel"
    said = terminal.run("status", exit_code=2).output
    assert "critical  The database cannot be used" in said
    assert "secret" not in said
