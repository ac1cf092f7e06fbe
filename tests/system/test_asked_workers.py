"""Hosts that are drained and processes that are terminated by a person, with real workers."""

import platform
from pathlib import Path

import pytest

from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.runs import RUNS
from kernel.insight.workers import Process, processes
from kernel.insight.workers.asking import drain, resume, terminate
from tests.support.factories import rows
from tests.support.handlers.dying import begun
from tests.support.receiver import Answer
from tests.support.stack import Stack
from tests.support.waiting import is_running, wait_until

HOST = platform.node()
DYING = {"handlers": "tests.support.handlers.dying:handlers", "lease_seconds": 60}
PATIENCE = 30.0


def with_settings(**settings: object) -> pytest.MarkDecorator:
    """Run the test on a stack with handlers that report when they begin."""
    return pytest.mark.parametrize("stack", [DYING | settings], indirect=True, ids=[""])


def seen(stack: Stack) -> list[Process]:
    return [one for one in processes(stack.kernel) if one.alive]


def said(folder: Path, run: int = 1) -> int:
    """Wait until run number ``run`` has begun; return in which process."""
    folder.mkdir(exist_ok=True)
    return wait_until(lambda: begun(folder, run), PATIENCE, f"run {run}").process


def reported(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


@pytest.mark.parametrize("command", ["kernel", "celery"])
@with_settings(worker_processes=2)
def test_drained_host_ends_what_it_runs_and_takes_nothing_until_it_is_resumed(
    stack: Stack, tmp_path: Path, command: str
) -> None:
    stack.api()
    stack.worker(command)
    busy, late = reported(tmp_path, "busy"), reported(tmp_path, "late")
    running = stack.submit("daemon", folder=str(busy))
    said(busy)
    drain(stack.kernel, HOST)
    wait_until(lambda: [one.quiet for one in seen(stack)] == [True, True], PATIENCE, "quiet")
    wait_until(lambda: "this host is drained" in stack.log(), PATIENCE, "the consumer")
    waiting = stack.submit("quick", folder=str(late))
    stack.worker(command)  # as a supervisor would start it again
    wait_until(lambda: [one.quiet for one in seen(stack)] == [True] * 4, PATIENCE, "quiet, too")
    (busy / "end").touch()
    assert stack.finished(running)["state"] == "success"
    assert stack.show(waiting)["state"] == "pending"
    # Its callback is owed, and for the others to send.
    assert [one.state for one in rows(stack.kernel, DELIVERIES)] == ["pending"]
    resume(stack.kernel, HOST)
    assert stack.finished(waiting)["state"] == "success"
    stack.callback(running)
    wait_until(lambda: not any(one.quiet for one in seen(stack)))
    assert '"level": "ERROR"' not in stack.log()


@with_settings(worker_processes=2)
def test_terminated_process_hands_its_order_back_and_the_next_run_is_alone(
    stack: Stack, tmp_path: Path
) -> None:
    stack.api()
    stack.worker()
    folder = reported(tmp_path, "hangs")
    order_id = stack.submit("parent", folder=str(folder))
    first = said(folder)
    (hanging,) = wait_until(lambda: [one for one in seen(stack) if one.running], PATIENCE)
    assert (hanging.pid, hanging.runs[0].tag, hanging.runs[0].limit) == (first, "parent", 600)
    terminate(stack.kernel, hanging.id)
    assert stack.finished(order_id)["result"] == {"run": 2}
    children = begun(folder, 1)
    assert children is not None
    assert not any(is_running(pid) for pid in (first, *children.children))
    (ended,) = rows(stack.kernel, RUNS)
    assert (ended.how, ended.pid) == ("terminated", first)
    wait_until(lambda: first not in [one.pid for one in seen(stack)])
    wait_until(lambda: len(seen(stack)) == 2, PATIENCE, "another process in its place")
    assert '"level": "ERROR"' not in stack.log()


@with_settings(callback_timeout=10)
def test_callback_under_way_is_recorded_on_a_host_that_is_drained(
    stack: Stack, tmp_path: Path
) -> None:
    stack.api()
    stack.worker()
    stack.receiver.script(Answer(delay=4))
    order_id = stack.submit("quick", folder=str(reported(tmp_path, "quick")))
    stack.callback(order_id)
    drain(stack.kernel, HOST)
    wait_until(lambda: stack.show(order_id)["deliveries"][0]["state"] == "delivered", PATIENCE)
