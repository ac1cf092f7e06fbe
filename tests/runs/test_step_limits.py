"""Soft and hard limits that strike in a step, and while it is recorded."""

import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import event

from kernel import StepRetry, TimeLimit
from kernel.db.tables.operating.runs import RUNS
from kernel.errors import Retry
from kernel.handlers import Run
from kernel.orders.decide import Exit, Why
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from tests.support.factories import rows
from tests.support.handlers.stepping import Desk, Effects, MakeKernel, die
from tests.support.waiting import wait_until


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    return Effects(tmp_path)


def strike_now() -> None:
    """Have the soft limit reached now, whatever the time."""
    signal.raise_signal(signal.SIGALRM)


def test_soft_limit_strikes_in_a_step_and_the_step_is_done_again(
    make_kernel: MakeKernel, database_url: str, effects: Effects
) -> None:
    """A StepRetry makes no difference: TimeLimit is the whole run's."""

    def work(run: Run) -> str:
        run.step("first", effects.do, "first")
        if run.number == 1:
            try:
                run.step("far", strike_now, retry=StepRetry())
            except TimeLimit:
                raise Retry from None
        return str(run.step("far", effects.do, "far"))

    desk = Desk(make_kernel, database_url, work, soft_limit=300)
    assert desk.run().state == "pending"
    assert desk.steps[1].error.startswith("kernel.errors.TimeLimit: the handler has run for")
    assert desk.run().state == "success"
    assert effects.done == ["first", "far"]


def test_soft_limit_waits_for_the_record_of_a_step(
    make_kernel: MakeKernel, sqlite_url: str, effects: Effects
) -> None:
    def far(run: Run) -> str:
        event.listen(desk.kernel.engine, "commit", lambda _: strike_now(), once=True)
        return effects.do("far")

    def work(run: Run) -> str:
        done = run.step("far", far, run)
        wait_until(lambda: run.number > 1, 20, "TimeLimit")
        return str(done)

    desk = Desk(make_kernel, sqlite_url, work, soft_limit=300)
    left = desk.run()
    assert (left.state, left.timeouts, desk.told()) == ("pending", 1, [("far", 1, True)])
    assert desk.run().state == "success"
    assert effects.done == ["far"]


def test_hard_limit_in_a_step_counts_as_every_other(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    """The process is ended, like by kill -9; the lease keeper says why."""
    desk = Desk(make_kernel, sqlite_url, lambda run: run.step("far", die), max_runs=2)
    for number in (1, 2):
        desk.kernel.close()
        child = os.fork()
        if child == 0:
            execute(desk.kernel, desk.order_id)
            os._exit(1)
        os.waitpid(child, 0)
        leave(desk.kernel, desk.order_id, number, Exit(Why.TIMED_OUT))
    assert (desk.order.state, desk.order.error_code) == ("failed", "timed_out")
    assert desk.told() == [("far", 2, False)]


def test_reason_of_a_steps_retry_names_the_step_and_quotes_no_exception(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    """Callers and viewers read reasons; the error of a step is between handler and operator."""

    def failing() -> None:
        raise ConnectionError("no route to db-7 as root")

    def work(run: Run) -> None:
        run.step("far", failing, retry=StepRetry(attempts=5))

    desk = Desk(make_kernel, sqlite_url, work)
    assert desk.run().state == "pending"
    assert "no route to db-7" in desk.steps[0].error
    assert [one.reason for one in rows(desk.kernel, RUNS)] == ["step far failed"]
