"""A dead pool process is taken over at once, and what it started dies with it. Real workers.

The lease is so long that no test would wait for it: what comes again has been handed back.
"""

import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from kernel.db.tables.deliveries import DELIVERIES
from kernel.insight.workers import processes
from kernel.orders.decide import crash_pause
from kernel.worker.pool.subreaper import look_at
from tests.support.factories import rows
from tests.support.handlers.dying import Begun, begun
from tests.support.receiver import Answer
from tests.support.stack import Stack, family, stopped
from tests.support.waiting import is_running, wait_until

SLOW = {
    "handlers": "tests.support.handlers.dying:handlers",
    "lease_seconds": 60,
    "sweep_seconds": 60,
    "callback_timeout": 50,
}
# It takes a second where the machine is not busy, and longer where other tests run beside.
WITHIN = 20.0


def processes_of_a_worker(*counts: int) -> pytest.MarkDecorator:
    """Run the test on a stack with so many pool processes."""
    stacks = [SLOW | {"worker_processes": count} for count in counts]
    return pytest.mark.parametrize("stack", stacks, indirect=True, ids=map(str, counts))


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A folder where runs say that they have begun."""
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


def said(folder: Path, run: int, seconds: float = 60.0) -> Begun:
    """Wait until run number ``run`` has begun; return what it said."""
    return wait_until(lambda: begun(folder, run), seconds, f"run {run}")


def kill(pid: int) -> float:
    """Kill a process; return when."""
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def main_of(pool_process: int) -> int:
    """The main process of a worker, of which this is a pool process."""
    found = look_at(pool_process)
    assert found is not None
    return found.parent


@processes_of_a_worker(1, 3)
def test_order_runs_again_at_once_and_alone_when_its_process_is_killed(
    stack: Stack, reports: Path
) -> None:
    stack.api()
    stack.worker()
    order_id = stack.submit("parent", folder=str(reports))
    first = said(reports, 1)
    killed = kill(first.process)
    second = said(reports, 2, WITHIN)
    print(f"taken over after {second.at - killed:.2f} s")
    assert (len(first.children), second.left) == (6, [])
    assert stack.finished(order_id)["result"] == {"run": 2}
    wait_until(lambda: first.process not in {one.pid for one in processes(stack.kernel)})
    assert stack.log().count("taken over from a process that is gone") == 1


@processes_of_a_worker(1, 2)
def test_callback_goes_out_again_at_once_when_its_process_is_killed(
    stack: Stack, reports: Path
) -> None:
    stack.api()
    stack.worker()
    stack.receiver.script(Answer(delay=45))
    order_id = stack.submit("quick", folder=str(reports))
    sender = said(reports, 1).process
    stack.callback(order_id)
    kill(sender)
    requests = stack.receiver.wait(2, WITHIN)
    assert {one.headers["webhook-id"] for one in requests} == {requests[0].headers["webhook-id"]}
    assert requests[1].received - requests[0].received < WITHIN
    wait_until(lambda: rows(stack.kernel, DELIVERIES)[0].state == "delivered")
    assert rows(stack.kernel, DELIVERIES)[0].attempt == 2


@processes_of_a_worker(1)
def test_order_waits_longer_after_each_crash_until_it_is_given_up(
    stack: Stack, reports: Path
) -> None:
    stack.api()
    stack.worker()
    order_id = stack.submit("dies", folder=str(reports))
    assert stack.finished(order_id)["error"]["code"] == "worker_lost"
    begun_at = [said(reports, run).at for run in (1, 2, 3)]
    # On a busy machine a run begins later than it may.
    pauses = [later - sooner for sooner, later in pairwise(begun_at)]
    assert crash_pause(1) < crash_pause(2)
    assert all(pause >= crash_pause(crashes) for crashes, pause in enumerate(pauses, 1))
    assert stack.callback(order_id).headers["webhook-id"]


@processes_of_a_worker(1)
def test_run_over_its_time_limit_takes_its_children_along_and_the_caller_is_told(
    stack: Stack, reports: Path
) -> None:
    stack.api()
    stack.worker()
    order_id = stack.submit("parent_over_limit", folder=str(reports))
    first, second = said(reports, 1), said(reports, 2)
    assert second.at - first.at < 2 + WITHIN
    assert second.left == []
    assert stack.finished(order_id, 2 + WITHIN)["error"]["code"] == "timed_out"
    wait_until(lambda: not any(is_running(pid) for pid in second.children), WITHIN)
    assert stack.callback(order_id, WITHIN).headers["webhook-id"]


@processes_of_a_worker(2)
def test_daemon_of_a_living_process_is_left_alone_when_a_sibling_dies(
    stack: Stack, reports: Path
) -> None:
    stack.api()
    stack.worker()
    (reports / "daemon").mkdir()
    (reports / "other").mkdir()
    order_id = stack.submit("daemon", folder=str(reports / "daemon"))
    ours = said(reports / "daemon", 1)
    stack.submit("parent", folder=str(reports / "other"))
    kill(said(reports / "other", 1).process)
    assert said(reports / "other", 2, WITHIN).left == []
    (reports / "daemon" / "end").touch()
    assert stack.finished(order_id)["result"] == {"alive": True}
    kill(ours.process)
    wait_until(lambda: not is_running(ours.children[0]), WITHIN)


@processes_of_a_worker(2)
def test_worker_goes_on_when_its_processes_are_killed_over_and_over(
    stack: Stack, tmp_path: Path
) -> None:
    stack.api()
    stack.worker()
    for number in range(4):
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        order_id = stack.submit("parent", folder=str(folder))
        kill(said(folder, 1).process)
        assert said(folder, 2, WITHIN).left == []
        assert stack.finished(order_id)["result"] == {"run": 2}


@pytest.mark.parametrize("workers", [1, 2])
@processes_of_a_worker(2)
def test_order_runs_again_at_once_when_the_main_process_is_killed(
    stack: Stack, reports: Path, workers: int
) -> None:
    """By another worker, or by the next main process of this one."""
    stack.api()
    for _ in range(workers):
        stack.worker()
    order_id = stack.submit("parent", folder=str(reports))
    first = said(reports, 1)
    killed = kill(main_of(first.process))
    second = said(reports, 2, 2 * WITHIN)
    print(f"taken over after {second.at - killed:.2f} s")
    assert stack.finished(order_id)["result"] == {"run": 2}
    wait_until(lambda: first.process not in {one.pid for one in processes(stack.kernel)})


@processes_of_a_worker(1)
def test_callback_goes_out_again_at_once_when_the_main_process_is_killed(
    stack: Stack, reports: Path
) -> None:
    stack.api()
    stack.worker()
    stack.receiver.script(Answer(delay=45))
    order_id = stack.submit("quick", folder=str(reports))
    sender = said(reports, 1).process
    stack.callback(order_id)
    kill(main_of(sender))
    requests = stack.receiver.wait(2, 2 * WITHIN)
    assert {one.headers["webhook-id"] for one in requests} == {requests[0].headers["webhook-id"]}


TOGETHER = [SLOW | {"worker_processes": 2, "sweep_seconds": 1}]


@pytest.mark.parametrize("stack", TOGETHER, indirect=True)
@pytest.mark.parametrize("how", ["all at once", "its main process last"])
@pytest.mark.parametrize("beside", [True, False])
def test_order_and_callback_go_on_at_once_when_a_worker_is_killed_as_a_whole(
    stack: Stack, reports: Path, how: str, beside: bool
) -> None:
    """By another worker of the machine, or by the next one. Nobody is left to clear up."""
    stack.api()
    stack.receiver.script(Answer(delay=45))
    first = stack.worker()
    (reports / "long").mkdir()
    message = stack.callback(stack.submit("quick", folder=str(reports))).headers["webhook-id"]
    order_id = stack.submit("parent", folder=str(reports / "long"))
    begun_by = said(reports / "long", 1)
    killed = {first.pid, *family(first.pid)} - set(begun_by.children)
    wait_until(lambda: len(processes(stack.kernel)) == 2)
    if beside:
        stack.worker()
        wait_until(lambda: len(processes(stack.kernel)) == 4, WITHIN)
    main = main_of(begun_by.process)
    last = [main] if how == "its main process last" else []
    with stopped(main), stopped(first.pid):
        for pid in [*(killed - set(last)), *last]:
            os.kill(pid, signal.SIGKILL)
    at = time.monotonic()
    if not beside:
        stack.worker()
    second = said(reports / "long", 2, WITHIN)
    print(f"taken over after {second.at - at:.2f} s")
    assert set(second.left) <= set(begun_by.children[2:4])  # those that do not tell whose they are
    assert stack.finished(order_id, WITHIN)["result"] == {"run": 2}
    wait_until(
        lambda: [one.headers["webhook-id"] for one in stack.receiver.requests].count(message) == 2,
        WITHIN,
    )
    for pid in second.left:
        os.kill(pid, signal.SIGKILL)
