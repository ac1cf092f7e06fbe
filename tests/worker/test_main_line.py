"""A pool process acts on what its main process tells, and looks by itself once in ten minutes.

Both are real processes: the main is the test's child, and the pool process is that one's.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.service import Worker
from kernel.handlers import Handlers, Run
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, Sent
from kernel.transport.client import Response
from kernel.worker.pool.main_watch import Patience
from kernel.worker.pool.vitals import Life, Vitals
from kernel.worker.process import WorkerProcess
from tests.support.factories import delivery, make_delivery, make_order, order, rows
from tests.support.handlers.misbehaving import Named
from tests.support.hints import FakeHints
from tests.support.waiting import is_running, wait_until

DEAD = "d" * 24
NEVER = Patience(takeover=600)
handlers = Handlers()


@handlers.register("hold", Named)
def hold(run: Run, args: Named) -> dict[str, object]:
    """Say that it runs, and go on for as long as its process."""
    threading.Event().wait()
    return {}


class Pool:
    """A main process whose vitals the test shares, and its only pool process.

    That one runs an order, if there is one, and ``sends`` callbacks or does not; its dispatcher
    looks for what is due ever so rarely.
    """

    def __init__(self, make: Callable[[], Kernel], order_id: str | None, *, sends: bool) -> None:
        self._sends = sends
        self.vitals = Vitals()
        reading, writing = os.pipe()
        self.main = os.fork()
        if self.main == 0:
            pool_process = os.fork()
            if pool_process == 0:
                self._work(make(), order_id)
            os.write(writing, pool_process.to_bytes(4))
            signal.pause()
        self.pool_process = int.from_bytes(os.read(reading, 4))
        os.close(reading)
        os.close(writing)

    def _work(self, kernel: Kernel, order_id: str | None) -> None:
        main = os.getppid()
        args = (kernel, FakeHints(), self.vitals, main, NEVER)
        process = WorkerProcess(*args, parent_pid=lambda: main)
        if not self._sends:
            process.dispatcher.sending.close()
        process.start()
        if order_id:
            process.execute([order_id])
        threading.Event().wait()

    def end(self) -> None:
        """Kill both."""
        for pid in (self.main, self.pool_process):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        os.waitpid(self.main, 0)


@pytest.fixture
def make_pool(
    make_kernel: Callable[..., Kernel], main_rows_url: str
) -> Iterator[Callable[..., Pool]]:
    """Start a pool on a database that other processes share."""
    pools: list[Pool] = []

    def make(order_id: str | None = None, transport: FakeTransport | None = None) -> Pool:
        def made() -> Kernel:
            return make_kernel(main_rows_url, handlers, transport=transport)

        pools.append(Pool(made, order_id, sends=transport is not None))
        return pools[-1]

    yield make
    for pool in pools:
        pool.end()


def test_process_takes_over_when_told_and_not_when_it_would_have_looked(
    make_pool: Callable[..., Pool], make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, handlers)
    pool = make_pool()
    wait_until(lambda: rows(kernel, Worker.__table__), 30, "first round")
    taken = make_order(kernel, state="running", runner=DEAD)
    seat = pool.vitals.reserve()
    assert seat is not None
    pool.vitals.occupy(seat, Life(1, 1), DEAD)
    pool.vitals.clear(pool.vitals.occupied()[0])
    wait_until(lambda: order(kernel, taken).state == "pending", 30, "takeover")


def test_process_hands_back_all_that_it_does_when_its_main_process_is_killed(
    make_pool: Callable[..., Pool], make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, handlers)
    held = make_order(kernel, select_tag="hold", args="{}")
    pool = make_pool(held)
    runner = wait_until(lambda: order(kernel, held).runner, 30, "run")
    until = kernel.clock.now() + kernel.lease / 2
    sent = make_delivery(
        kernel, claim_token=f"{runner}-0a", next_attempt_at=until, is_retry=True, attempt=1, tries=1
    )
    wait_until(lambda: rows(kernel, Worker.__table__), 30, "heartbeat")
    pool.vitals.line.follow(lambda: None, lambda: None)  # the end that is the main's alone
    os.kill(pool.main, signal.SIGKILL)
    wait_until(lambda: not is_running(pool.pool_process), 30, "end")
    found = order(kernel, held)
    assert (found.state, found.crashes, found.runner) == ("pending", 1, None)
    (delivery,) = [one for one in rows(kernel, DELIVERIES) if one.id == sent]
    assert (delivery.claim_token, delivery.next_attempt_at < until) == (None, True)
    assert rows(kernel, Worker.__table__) == []


def answer_when_the_main_is_gone(sent: Sent) -> Response:
    """Answer once this process has another parent; one receiver never does."""
    parent = os.getppid()
    while os.getppid() == parent or sent.url.endswith("/hangs"):
        time.sleep(0.01)
    return Response(status=200, headers={}, body=b"", phases={})


def test_attempts_are_recorded_when_the_main_process_is_killed_beneath_them(
    make_pool: Callable[..., Pool], make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, handlers)
    paths = "answers", "hangs"
    sent = [make_delivery(kernel, url=f"https://receiver.example/{path}") for path in paths]
    pool = make_pool(transport=FakeTransport([answer_when_the_main_is_gone]))
    wait_until(lambda: all(delivery(kernel, one).claim_token for one in sent), 30, "claims")
    pool.vitals.line.follow(lambda: None, lambda: None)  # the end that is the main's alone
    os.kill(pool.main, signal.SIGKILL)
    wait_until(lambda: not is_running(pool.pool_process), 30, "end")
    answered, hung = (delivery(kernel, one) for one in sent)
    reasons = {one.delivery_id: one.reason for one in rows(kernel, ATTEMPTS)}
    assert reasons == {answered.id: None, hung.id: "interrupted"}
    assert (answered.state, hung.state, hung.claim_token) == ("delivered", "pending", None)
    assert hung.next_attempt_at <= kernel.clock.now(), "it is due at once"
