"""The watch of a worker's processes over each other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kernel.db.tables.service import Asked
from kernel.handlers import Handlers, Run
from kernel.runs import claim
from kernel.runs.together import company
from kernel.runtime.kernel import Kernel
from kernel.worker.pool.consumer_watch import LINE, ConsumerWatch, SuccessorLine
from kernel.worker.pool.main_watch import Patience
from kernel.worker.pool.vitals import IN_ORDER, Vitals
from kernel.worker.process import WorkerProcess
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, handlers
from tests.support.hints import FakeHints
from tests.support.together import Message
from tests.support.waiting import wait_until

SOON = Patience(stuck=0.2, watch=0.01, standing=0.1)


@pytest.fixture
def main_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process to be taken for the worker's main process."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def watcher_of(
    kernel: Kernel, vitals: Vitals, process: subprocess.Popen[bytes], waiting: int | None = 1
) -> WorkerProcess:
    """Return a process of the worker's pool; it did not really fork from this main process."""
    pid = process.pid
    return WorkerProcess(kernel, FakeHints(waiting), vitals, pid, SOON, parent_pid=lambda: pid)


def beats(
    kernel: Kernel,
    vitals: Vitals,
    process: subprocess.Popen[bytes],
    waiting: int | None,
    seconds: float = 1.0,
) -> None:
    """Let a process of the worker look after its main process until it has ended or for a while."""
    watcher = watcher_of(kernel, vitals, process, waiting)
    deadline = time.monotonic() + seconds
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
    beats(waiting_kernel(make_kernel, sqlite_url), Vitals(), main_process, 1, seconds=30)
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


@pytest.fixture
def supervised() -> Iterator[tuple[Vitals, Callable[[], bytes]]]:
    """The vitals of a worker with a supervisor, and what reads the line between the two."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def asked() -> bytes:
        try:
            return os.read(reading, 10)
        except BlockingIOError:
            return b""

    yield Vitals(ConsumerWatch(SuccessorLine.taken_from({LINE: str(writing)}))), asked
    os.close(reading)
    os.close(writing)


def test_successor_is_asked_for_once_when_the_consumer_stands_and_the_process_is_busy(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    main_process: subprocess.Popen[bytes],
    supervised: tuple[Vitals, Callable[[], bytes]],
) -> None:
    vitals, asked = supervised
    registry = Handlers()

    @registry.register("write", Named)
    def outlast(run: Run, args: Named) -> dict[str, object]:
        make_order(kernel, select_tag="write", args="{}")
        kernel.clock.shift(30)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            watcher.beat()
            time.sleep(0.02)
        return {"asked": asked().decode(), "main": main_process.poll()}

    kernel = make_kernel(sqlite_url, registry)
    watcher = watcher_of(kernel, vitals, main_process)
    vitals.consumer.turned()
    order_id = make_order(kernel, select_tag="write", args="{}")
    watcher.execute([order_id])
    assert order(kernel, order_id).result == '{"asked":"\\n","main":null}'


@pytest.mark.parametrize("waiting", [0, None])
def test_no_successor_is_asked_for_when_the_consumer_stands_and_no_hints_wait(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    main_process: subprocess.Popen[bytes],
    supervised: tuple[Vitals, Callable[[], bytes]],
    waiting: int | None,
) -> None:
    vitals, asked = supervised
    vitals.consumer.turned()
    beats(waiting_kernel(make_kernel, sqlite_url), vitals, main_process, waiting)
    assert (asked(), main_process.poll()) == (b"", None)


def test_main_process_with_a_successor_lives_when_another_process_of_its_pool_is_busy(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    main_process: subprocess.Popen[bytes],
    supervised: tuple[Vitals, Callable[[], bytes]],
) -> None:
    vitals, asked = supervised
    kernel = waiting_kernel(make_kernel, sqlite_url)
    with busy_elsewhere(vitals):
        beats(kernel, vitals, main_process, 1)
        assert (asked(), main_process.poll()) == (b"\n", None)
    beats(kernel, vitals, main_process, 1)
    wait_until(lambda: main_process.poll() == -9)


@contextmanager
def busy_elsewhere(vitals: Vitals) -> Iterator[None]:
    """Have another process of the pool run a handler; it is killed in the middle of it."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        with vitals.consumer.busy.held():
            os.write(writing, b"x")
            time.sleep(60)
        os._exit(0)
    try:
        os.read(reading, 1)
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


def test_worker_is_left_alone_when_its_consumer_has_ended(
    make_kernel: Callable[..., Kernel],
    sqlite_url: str,
    main_process: subprocess.Popen[bytes],
    supervised: tuple[Vitals, Callable[[], bytes]],
) -> None:
    vitals, asked = supervised
    vitals.consumer.ended()
    assert asked() == b"\n"
    beats(waiting_kernel(make_kernel, sqlite_url), vitals, main_process, 1)
    assert (asked(), main_process.poll()) == (b"", None)


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


def test_only_the_order_that_hangs_counts_when_a_person_ends_a_process_of_short_orders(
    make_kernel: Callable[..., Kernel], main_rows_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company, "TOGETHER_SECONDS", 3600.0)  # one transaction on a slow machine
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    message = Message(make_kernel, main_rows_url)

    def end(run: Run) -> None:
        process = WorkerProcess(message.kernel, FakeHints(), Vitals(), os.getpid())
        process.dispatcher.on_asked(Asked.TERMINATE)

    message.does = {"4": end}
    if (child := os.fork()) == 0:
        message.execute()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == IN_ORDER
    assert (message.states, message.written) == ([("pending", 1)] * 10, [])
    crashes = [order(message.kernel, one).crashes for one in message.ids]
    assert crashes == [0] * 4 + [1] + [0] * 5
