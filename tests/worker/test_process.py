"""The watch of a worker's processes over each other."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from kernel.handlers import Handlers, Run
from kernel.runs import claim
from kernel.runtime.kernel import Kernel
from kernel.worker.process import Patience, Vitals, WorkerProcess
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, handlers
from tests.support.hints import FakeHints
from tests.support.waiting import wait_until

SOON = Patience(stuck=0.2, watch=0.01)


@pytest.fixture
def main_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process to be taken for the worker's main process."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def beats(
    kernel: Kernel, vitals: Vitals, process: subprocess.Popen[bytes], waiting: int | None
) -> None:
    """Let a process of the worker look after its main process for a second."""
    hints, pid = FakeHints(waiting), process.pid
    # It did not really fork from there.
    watcher = WorkerProcess(kernel, hints, vitals, pid, SOON, parent_pid=lambda: pid)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and process.poll() is None:
        watcher.beat()
        time.sleep(0.02)


def waiting_kernel(make_kernel: Callable[..., Kernel], url: str) -> Kernel:
    """A kernel with an order that has been due for a while."""
    kernel = make_kernel(url, handlers)
    make_order(kernel, select_tag="write", args="{}")
    kernel.clock.shift(30)
    return kernel


def test_worker_is_ended_when_orders_and_hints_wait_and_nothing_is_received(
    make_kernel: Callable[..., Kernel], sqlite_url: str, main_process: subprocess.Popen[bytes]
) -> None:
    beats(waiting_kernel(make_kernel, sqlite_url), Vitals(), main_process, 1)
    wait_until(lambda: main_process.poll() == -9)


@pytest.mark.parametrize("waiting", [0, None])
def test_worker_lives_when_no_hints_wait(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    main_process: subprocess.Popen[bytes],
    waiting: int | None,
) -> None:
    beats(waiting_kernel(make_kernel, sqlite_url), Vitals(), main_process, waiting)
    assert main_process.poll() is None


def test_worker_lives_when_no_orders_wait(
    make_kernel: Callable[..., Kernel], sqlite_url: str, main_process: subprocess.Popen[bytes]
) -> None:
    beats(make_kernel(sqlite_url, handlers), Vitals(), main_process, 5)
    assert main_process.poll() is None


def test_worker_lives_when_its_consumer_receives(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    main_process: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vitals = Vitals()
    monkeypatch.setattr(Vitals, "received_at", property(lambda self: time.monotonic()))
    beats(waiting_kernel(make_kernel, sqlite_url), vitals, main_process, 1)
    assert main_process.poll() is None


def test_rest_is_hinted_again_once_when_its_neighbour_takes_long(
    make_kernel: Callable[..., Kernel], sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Handlers()

    @registry.register("write", Named)
    def dawdle(run: Run, args: Named) -> dict[str, object]:
        for _ in range(2):
            process.beat()
        assert queue.hinted == order_ids[1:], "while this one runs"
        monkeypatch.setattr(claim, "monotonic", lambda: float("inf"))
        return {}

    queue, kernel = FakeHints(), make_kernel(sqlite_url, registry)
    patience = Patience(neighbour=0.0)
    process = WorkerProcess(kernel, queue, Vitals(), os.getpid(), patience)
    order_ids = [make_order(process.kernel, select_tag="write", args="{}") for _ in range(3)]
    process.execute(order_ids)
    process.dispatcher.timers.run()
    process.beat()
    assert queue.hinted == order_ids[1:]
    assert order(process.kernel, order_ids[0]).state == "success"


def test_vitals_are_shared_when_a_process_forks() -> None:
    vitals = Vitals()
    if (child := os.fork()) == 0:
        vitals.received()
        vitals.stopping()
        os._exit(0)
    os.waitpid(child, 0)
    assert 0 < vitals.received_at <= vitals.stopping_at <= time.monotonic()
