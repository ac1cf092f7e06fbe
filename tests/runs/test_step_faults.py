"""What holds of a step when its run is struck: before its function, in it, and after its commit."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from kernel import StepRetry
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.steps import STEPS
from kernel.errors import LeaseLost, OrderCancelled, Retry, WorkerStopping
from kernel.handlers import Run
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from tests.support.handlers.misbehaving import names, write
from tests.support.handlers.stepping import Desk, Effects, MakeKernel, die


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    return Effects(tmp_path)


def run_and_be_killed(desk: Desk) -> None:
    """Run the order in a process that is killed with -9 in it; have its death noticed."""
    number = desk.order.run + 1
    desk.kernel.close()
    child = os.fork()
    if child == 0:
        try:
            execute(desk.kernel, desk.order_id)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert desk.order.state == "running"
    leave(desk.kernel, desk.order_id, number, Exit(Why.DIED))


def test_step_is_done_again_when_its_process_was_killed_in_it(
    make_kernel: MakeKernel, database_url: str, effects: Effects
) -> None:
    """With the same key, by which the other system knows it."""

    def far(run: Run, key: str) -> str:
        effects.do(key)
        if run.number == 1:
            die()
        return "made"

    def work(run: Run) -> Any:
        first = run.step("first", effects.do, "first")
        write(run, f"run {run.number}")
        return [first, run.step("far", far, run, run.key("far"))]

    desk = Desk(make_kernel, database_url, work)
    run_and_be_killed(desk)
    assert [one.duration_ms is None for one in desk.steps] == [False, True]
    assert desk.run().state == "success"
    assert effects.done == ["first", *[f"{desk.order_id}/far"] * 2]
    assert desk.told() == [("first", 1, True), ("far", 2, True)]


def test_step_is_given_back_when_its_process_was_killed_after_its_commit(
    make_kernel: MakeKernel, database_url: str, effects: Effects
) -> None:
    def work(run: Run) -> Any:
        given = run.step("far", effects.do, "far")
        if run.number == 1:
            write(run, "not committed")
            die()
        return given

    desk = Desk(make_kernel, database_url, work)
    run_and_be_killed(desk)
    assert desk.run().result == '{"of":"far"}'
    assert effects.done == ["far"]
    with desk.kernel.read_session() as session:
        assert names(session) == []


def test_order_whose_step_kills_every_process_does_not_go_round_for_ever(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    """An attempt that begins is no progress: deaths are counted on."""

    desk = Desk(make_kernel, sqlite_url, lambda run: run.step("deadly", die), max_runs=3)
    for _ in range(3):
        desk.kernel.clock.shift(100)
        run_and_be_killed(desk)
    assert (desk.order.state, desk.order.error_code) == ("failed", "worker_lost")
    assert desk.told() == [("deadly", 3, False)]


def ask_for_cancel(kernel: Kernel, run: Run) -> None:
    cancel(kernel, 1, run.order_id)


def stop(kernel: Kernel, run: Run) -> None:
    kernel.stopping.set()


def steal(kernel: Kernel, run: Run) -> None:
    with kernel.write_session() as session:
        session.execute(update(ORDERS).where(ORDERS.c.id == run.order_id).values(run=7))


class Strike(NamedTuple):
    """What strikes a run, what that raises, how its order is left, and whether it can record."""

    strike: Callable[[Kernel, Run], None]
    raised: type[Exception]
    state: str
    records: bool


STRIKES = {
    "cancel": Strike(ask_for_cancel, OrderCancelled, "cancelled", True),
    "stop": Strike(stop, WorkerStopping, "pending", True),
    "lost lease": Strike(steal, LeaseLost, "running", False),
}


@pytest.fixture(params=STRIKES)
def struck(request: pytest.FixtureRequest) -> Strike:
    return STRIKES[request.param]


@pytest.mark.parametrize("swallowed", [True, False])
def test_strike_during_a_step_is_raised_after_its_result_is_recorded(
    make_kernel: MakeKernel, database_url: str, struck: Strike, swallowed: bool
) -> None:
    """What was done elsewhere is known, unless another run owns the order meanwhile."""

    def work(run: Run) -> None:
        with pytest.raises(struck.raised) as caught:
            run.step("far", lambda: struck.strike(desk.kernel, run))
        if not swallowed:
            raise caught.value

    desk = Desk(make_kernel, database_url, work)
    assert desk.run().state == struck.state
    assert desk.told() == [("far", 1, struck.records)]


def test_step_is_not_begun_after_a_strike(
    make_kernel: MakeKernel, sqlite_url: str, effects: Effects, struck: Strike
) -> None:
    def work(run: Run) -> None:
        struck.strike(desk.kernel, run)
        write(run, "goes")
        with pytest.raises(struck.raised):
            run.step("far", effects.do, "far")

    desk = Desk(make_kernel, sqlite_url, work)
    assert desk.run().state == struck.state
    assert (desk.told(), effects.done) == ([], [])
    with desk.kernel.read_session() as session:
        assert names(session) == []


def test_check_in_a_step_ends_it_and_its_attempt_is_recorded(
    make_kernel: MakeKernel, sqlite_url: str, struck: Strike
) -> None:
    def far(run: Run) -> None:
        struck.strike(desk.kernel, run)
        run.check()
        pytest.fail("not reached")

    def work(run: Run) -> None:
        run.step("far", far, run, retry=StepRetry())

    desk = Desk(make_kernel, sqlite_url, work)
    assert desk.run().state == struck.state
    assert desk.told() == [("far", 1, False)]
    said = desk.steps[0].error
    assert (struck.raised.__name__ in said) if struck.records else said is None


def test_run_is_broken_when_the_database_drops_what_a_step_writes(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def far(run: Run) -> None:
        write(run, "goes")
        run.guard.broken = OperationalError("INSERT", {}, Exception("gone away"))

    def work(run: Run) -> None:
        run.step("far", far, run) if run.number == 1 else run.step("far", write, run, "stays")

    desk = Desk(make_kernel, database_url, work)
    left = desk.run()
    assert (left.state, left.broken) == ("pending", 4)
    assert desk.run().state == "success"
    assert desk.told() == [("far", 2, True)]
    with desk.kernel.read_session() as session:
        assert names(session) == ["stays"]


def test_record_of_a_run_that_lost_its_order_is_not_written(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """The run that owns it now has recorded the step itself."""

    def far(run: Run) -> str:
        steal(desk.kernel, run)
        with desk.kernel.write_session() as session:
            theirs = {"attempts": 2, "done_at": desk.kernel.clock.sql(), "result": '"theirs"'}
            session.execute(update(STEPS).values(theirs))
        return "mine"

    desk = Desk(make_kernel, database_url, lambda run: run.step("far", far, run))
    desk.run()
    assert [one.result for one in desk.steps] == ['"theirs"']


def test_steps_work_in_a_guarded_run(make_kernel: MakeKernel, database_url: str) -> None:
    def work(run: Run) -> Any:
        write(run, "before")
        given = run.step("far", write, run, "in it") or run.step("next", lambda: 1)
        if run.number == 1:
            raise Retry
        return given

    desk = Desk(make_kernel, database_url, work, guarded=True)
    desk.run()
    assert desk.run().result == '{"of":1}'


def test_attempts_are_counted_for_as_long_as_their_column_can(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """A step that polls may be attempted without an end."""

    def work(run: Run) -> None:
        run.step("poll", poll, retry=None)

    def poll() -> None:
        raise Retry(after=5)

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    with desk.kernel.write_session() as session:
        session.execute(update(STEPS).values(attempts=32_767))
    assert desk.run().state == "pending"
    assert desk.told() == [("poll", 32_767, False)]
