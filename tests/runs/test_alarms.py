"""Alarms that handlers set themselves, and the soft limit where it strikes in one of many tasks."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

import pytest

from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, write

MakeKernel = Callable[..., Kernel]
SOON = 0.2


class Struck(Exception):
    """What an alarm raises."""


def strike(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Struck


@pytest.fixture(autouse=True)
def alarms() -> Iterator[None]:
    """Have an alarm that goes off elsewhere fail the test, and not end the tests."""
    before = signal.signal(signal.SIGALRM, strike)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("soft_limit", [None, 5.0])
@pytest.mark.parametrize("then", ["returns", "raises"])
def test_alarm_that_a_handler_leaves_behind_does_not_go_off_in_another_order(
    make_kernel: MakeKernel, database_url: str, then: str, soft_limit: float | None
) -> None:
    registry = Handlers()

    @registry.register("do", Named, soft_limit=soft_limit)
    def do(run: Run, args: Named) -> dict[str, Any]:
        if args.name == "bad":
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_REAL, SOON)
            if then == "raises":
                raise ZeroDivisionError
        else:
            write(run, args.name)
            time.sleep(2 * SOON)
        return {}

    kernel = make_kernel(database_url, registry)
    ids = [
        make_order(kernel, select_tag="do", args=f'{{"name": "{name}"}}')
        for name in ("bad", "good")
    ]
    list(execute_each(kernel, ids))
    assert (order(kernel, ids[1]).state, order(kernel, ids[1]).run) == ("success", 1)
    assert signal.getsignal(signal.SIGALRM) is strike


def test_alarm_of_who_runs_orders_is_left_alone(make_kernel: MakeKernel, database_url: str) -> None:
    registry = Handlers()
    registry.register("do", Named)(lambda run, args: {})
    kernel = make_kernel(database_url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    signal.setitimer(signal.ITIMER_REAL, 60)
    execute(kernel, order_id)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert (order(kernel, order_id).state, left > 30) == ("success", True)


def test_run_is_timed_out_when_the_soft_limit_strikes_in_a_task(
    make_kernel: MakeKernel, database_url: str
) -> None:
    async def busy() -> None:
        while True:
            time.sleep(0.01)

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(60))
            tasks.create_task(busy())

    registry = Handlers()

    @registry.register("do", Named, soft_limit=SOON)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, args.name)
        asyncio.run(both())
        return {}

    kernel = make_kernel(database_url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    found = order(kernel, order_id)
    assert (found.state, found.timeouts) == ("pending", 1)
