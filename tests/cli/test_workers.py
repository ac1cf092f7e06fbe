"""`kernel workers`: list, drain, resume, terminate."""

from datetime import timedelta

from kernel.db.tables.service import Worker
from kernel.insight.workers.asking import drain
from tests.support.factories import rows
from tests.support.people.terminal import Terminal
from tests.support.working import HOST, at_work, running


def test_list_says_what_each_process_runs_and_what_hangs(terminal: Terminal) -> None:
    at_work(terminal.kernel)
    at_work(terminal.kernel, running(terminal.kernel, "01", 50))
    drain(terminal.kernel, "node-3.example")
    shown = terminal.run("workers", "list").stdout
    assert "create_project 01 for 50 min of 60 min HANGS: near its limit" in shown
    assert "node-3.example is drained since" in shown
    found = terminal.json("workers", "list")
    assert [one["doing"] for one in found["processes"]] == ["running", "idle"]
    (run,) = found["processes"][0]["runs"]
    assert (run["order_id"], run["hangs"], run["time_limit"]) == ("01", "limit", 3600.0)
    assert [one["host"] for one in found["drained"]] == ["node-3.example"]


def test_list_says_that_no_process_is_at_work(terminal: Terminal) -> None:
    assert terminal.run("workers", "list").stdout == "no process is at work\n"


def test_host_is_drained_and_resumed(terminal: Terminal) -> None:
    at_work(terminal.kernel)
    assert terminal.run("workers", "drain", HOST).stdout == f"{HOST}: drained, processes: 1\n"
    assert terminal.json("workers", "list")["processes"][0]["asked"] == "drain"
    assert terminal.run("workers", "resume", HOST).stdout == f"{HOST}: resumed, processes: 1\n"
    again = terminal.run("workers", "resume", HOST, exit_code=1)
    assert "that host is not drained" in again.stderr


def test_host_that_was_never_seen_is_drained_with_a_word(terminal: Terminal) -> None:
    assert "is it spelt right?" in terminal.run("workers", "drain", "node-9").stderr


def test_process_is_not_drained_without_its_host(terminal: Terminal) -> None:
    one = at_work(terminal.kernel)
    refused = terminal.run("workers", "drain", one.id, exit_code=1)
    assert f"a process is drained with its host: {HOST}" in refused.stderr


def test_silent_process_is_not_said_to_end(terminal: Terminal) -> None:
    one = at_work(terminal.kernel, ago=timedelta(minutes=5))
    said = terminal.run("workers", "terminate", one.id).stdout
    assert "is silent, and ends only if it is heard of again: end it on its host" in said
    other = at_work(terminal.kernel)
    assert terminal.run("workers", "terminate", other.id).stdout.endswith(": ends\n")


def test_processes_of_a_host_are_terminated_when_a_person_agrees(terminal: Terminal) -> None:
    ids = [at_work(terminal.kernel).id for _ in range(2)]
    terminal.run("workers", "terminate", HOST, stdin="n\n", exit_code=1)
    assert [one.asked for one in rows(terminal.kernel, Worker.__table__)] == [None, None]
    terminal.run("workers", "terminate", ids[0])
    terminal.run("workers", "terminate", HOST, stdin="y\n")
    asked = [one.asked for one in rows(terminal.kernel, Worker.__table__)]
    assert asked == ["terminate", "terminate"]
    missing = terminal.run("workers", "terminate", "nobody", exit_code=1)
    assert "no worker's process has this id" in missing.stderr
