"""Commands under real workers: what a run has started ends with it, however that ends."""

import os
import signal
from pathlib import Path

import pytest

from kernel.cli.local.processes import Child
from tests.support.stack import Stack, family, pool_process
from tests.support.waiting import is_running, wait_until

# Leaves a child, a grandchild in a session of its own and a daemon without a parent, writes the ids
# of all, and works until it is told to end. It does not heed a SIGTERM.
BUSY = """#!/bin/sh
trap '' TERM
cd "$1" || exit 1
sleep 600 & echo $! >> ids
setsid sh -c 'echo $$ >> ids; exec sleep 600' &
(setsid env -i sh -c 'echo $$ >> ids; exec /bin/sleep 600' &)
echo $$ >> ids
echo $KERNEL_ORDER_RUN >> runs
echo "::progress 1/2 half of it"
while [ ! -e end ]; do sleep 0.05; done
echo '::result {"ended": true}'
"""
COMMANDS = """
[once]
program = "./busy"
argv = ["{folder}"]
time_limit = 600
stop_seconds = 0.2
arguments = { folder = {} }

[again]
program = "./busy"
argv = ["{folder}"]
again = true
arguments = { folder = {} }

[limited]
program = "./busy"
argv = ["{folder}"]
time_limit = 3
arguments = { folder = {} }
"""
# What is not handed back would wait for its lease for longer than any test.
SLOW = {"lease_seconds": 60, "sweep_seconds": 60, "shutdown_grace_seconds": 0}
WITHIN = 20.0

pytestmark = pytest.mark.parametrize("stack", [SLOW], indirect=True, ids=["one process"])


@pytest.fixture
def folder(tmp_path: Path, stack: Stack) -> Path:
    """A folder for one order; the stack's handlers are the commands beside it."""
    (tmp_path / "busy").write_text(BUSY)
    (tmp_path / "busy").chmod(0o755)
    (tmp_path / "commands.toml").write_text(COMMANDS)
    stack.settings["handlers"] = str(tmp_path / "commands.toml")
    folder = tmp_path / "order"
    folder.mkdir()
    return folder


def begun(folder: Path, runs: int = 1) -> list[int]:
    """Wait until a run has begun and everything of it is there; return the ids of its processes."""

    def ids() -> list[int]:
        file = folder / "ids"
        found = file.read_text().split() if file.exists() else []
        return [int(one) for one in found] if len(found) == 4 * runs else []

    found = wait_until(ids, 60, f"run {runs}")[-4:]
    assert all(is_running(one) for one in found)
    return found


def gone(pids: list[int]) -> None:
    """Wait until these processes have ended."""
    wait_until(lambda: not any(is_running(one) for one in pids), WITHIN)


def started(stack: Stack) -> Child:
    """Start the API and a worker; return the worker."""
    stack.api()
    return stack.worker()


def test_progress_and_result_are_told_while_and_after_a_command_runs(
    stack: Stack, folder: Path
) -> None:
    started(stack)
    order_id = stack.submit("once", folder=str(folder))
    pids = begun(folder)
    told = wait_until(lambda: stack.show(order_id)["progress"]["current"] and stack.show(order_id))
    assert told["progress"] == {"current": 1, "total": 2, "note": "half of it"}
    (folder / "end").touch()
    assert stack.finished(order_id)["result"] == {"ended": True}
    gone(pids)


def test_command_is_killed_with_all_it_has_started_when_its_order_is_cancelled(
    stack: Stack, folder: Path
) -> None:
    started(stack)
    order_id = stack.submit("once", folder=str(folder))
    pids = begun(folder)
    assert stack.post(f"/v1/orders/{order_id}/cancel").status_code == 202
    assert stack.finished(order_id, WITHIN)["state"] == "cancelled"
    gone(pids)


def test_command_is_killed_at_its_time_limit_and_the_caller_is_told(
    stack: Stack, folder: Path
) -> None:
    worker = started(stack)
    process = pool_process(worker)
    order_id = stack.submit("limited", folder=str(folder))
    pids = begun(folder)
    assert stack.finished(order_id, WITHIN)["error"]["code"] == "timed_out"
    gone(pids)
    assert (folder / "runs").read_text().split() == ["1"]
    assert is_running(process)


@pytest.mark.parametrize(("tag", "code"), [("once", "worker_lost"), ("again", None)])
def test_command_is_killed_before_anything_else_happens_when_its_process_is_killed(
    stack: Stack, folder: Path, tag: str, code: str | None
) -> None:
    process = pool_process(started(stack))
    order_id = stack.submit(tag, folder=str(folder))
    pids = begun(folder)
    os.kill(process, signal.SIGKILL)
    if code is None:
        begun(folder, 2)
        assert not any(is_running(one) for one in pids)
        (folder / "end").touch()
    found = stack.finished(order_id, WITHIN)
    assert (found.get("error") or {}).get("code") == code
    gone(pids)


def test_command_is_killed_when_the_whole_worker_is_killed_at_once(
    stack: Stack, folder: Path
) -> None:
    worker = started(stack)
    workers = family(worker.pid)
    stack.submit("once", folder=str(folder))
    pids = begun(folder)
    for one in workers:
        os.kill(one, signal.SIGSTOP)
    for one in workers:
        os.kill(one, signal.SIGKILL)
    gone(pids)


def test_command_ends_with_its_worker_and_the_caller_is_told(stack: Stack, folder: Path) -> None:
    worker = started(stack)
    order_id = stack.submit("once", folder=str(folder))
    pids = begun(folder)
    worker.stop()
    gone(pids)
    wait_until(lambda: worker.returncode is not None, WITHIN)
    stack.worker()
    assert stack.finished(order_id, WITHIN)["error"]["code"] == "command_interrupted"
    assert (folder / "runs").read_text().split() == ["1"]
