"""Leases that are renewed, runs that are too long, hand-backs that were put off."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from kernel.handlers import Run
from kernel.orders.transitions import RunEnd
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.services.lease_keeper import LeaseKeeper
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import handlers
from tests.support.waiting import wait_until

MakeKernel = Callable[..., Kernel]


@contextmanager
def running(kernel: Kernel, select_tag: str, seconds: str) -> Iterator[str]:
    """Run an order in another thread; yield its id while it runs."""
    order_id = make_order(kernel, select_tag=select_tag, args=f'{{"name": "{seconds}"}}')
    thread = threading.Thread(target=execute, args=(kernel, order_id))
    thread.start()
    wait_until(lambda: (order_id, 1) in kernel.running)
    yield order_id
    thread.join()


def test_lease_is_renewed_when_a_third_of_it_is_over(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, handlers, lease_seconds=0.9)
    keeper = LeaseKeeper(kernel, print, seconds=0.0)
    with running(kernel, "silent", "1.0") as order_id:
        keeper.run()
        first = order(kernel, order_id).lease_until
        wait_until(lambda: keeper.run() or order(kernel, order_id).lease_until > first)
    assert order(kernel, order_id).state == "success"


def test_lease_is_renewed_though_a_hand_back_that_was_put_off_cannot_be_written(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, handlers, lease_seconds=0.9)
    keeper = LeaseKeeper(kernel, print, seconds=0.0)

    def refused() -> None:
        raise ZeroDivisionError

    with running(kernel, "silent", "1.0") as order_id:
        kernel.pending_handbacks["another", 1] = refused
        first = order(kernel, order_id).lease_until

        def renewed() -> bool:
            with suppress(ZeroDivisionError):
                keeper.run()
            return order(kernel, order_id).lease_until > first

        wait_until(renewed)


def test_order_leaves_as_timed_out_when_its_run_is_over_the_time_limit(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, handlers, time_limit_seconds=0.1)
    overdue: list[Run] = []
    ends: list[RunEnd] = []
    stood: list[str] = []
    keeper = LeaseKeeper(
        kernel,
        ends.append,
        seconds=0.0,
        overdue=overdue.append,
        before=lambda: stood.append(order(kernel, order_id).state),
    )
    with running(kernel, "patient", "3") as order_id:
        wait_until(lambda: keeper.run() or overdue != [])
        assert (order(kernel, order_id).state, order(kernel, order_id).timeouts) == ("pending", 1)
    assert (overdue[0].order_id, ends[0].again_in) == (order_id, 0.0)
    assert stood[0] == "running", "what it has started ends before the order leaves it"


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_next_look_is_due_after_an_interval_when_one_was_taken(
    make_kernel: MakeKernel, sqlite_url: str, seconds: float
) -> None:
    keeper = LeaseKeeper(make_kernel(sqlite_url), print, seconds=seconds)
    keeper.run()
    assert time.monotonic() + seconds - 5 < keeper.due_at <= time.monotonic() + seconds
