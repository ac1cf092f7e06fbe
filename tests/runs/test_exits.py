"""Every way out of `running`: what is written, and that an acknowledged cancel is honoured."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kernel.db.guard import GUARD
from kernel.db.tables.deliveries import DELIVERIES
from kernel.errors import Retry
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.orders.decide import Exit, Why
from kernel.runs.claim import Batch
from kernel.runs.execute import execute, execute_each
from kernel.runs.leases import leave, retry_handbacks
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.rescue import rescue_orders
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named

MakeKernel = Callable[..., Kernel]
Ending = Callable[[Kernel, Run], object]


def broken(kernel: Kernel, run: Run) -> None:
    """The database drops the run's transaction."""
    run.guard.broken = OperationalError("x", {}, Exception("gone"))


def asked_to_retry(kernel: Kernel, run: Run) -> None:
    raise Retry(60)


def stopping(kernel: Kernel, run: Run) -> None:
    run.stopping = True


def bug(kernel: Kernel, run: Run) -> None:
    raise ZeroDivisionError


def unforeseen(kernel: Kernel, run: Run) -> None:
    raise GeneratorExit


def interrupted(kernel: Kernel, run: Run) -> None:
    raise KeyboardInterrupt


def rolled_back(kernel: Kernel, run: Run) -> None:
    run.guard.spoiled = True


def unwritable(kernel: Kernel, run: Run) -> None:
    """The outcome cannot be written: the handler's last statement fails when it is flushed."""
    engine = kernel.engines.running

    def fail(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO") and "deliveries" in statement:
            event.remove(engine, "before_cursor_execute", fail)
            run.session.connection().exec_driver_sql("SELECT * FROM nowhere")

    event.listen(engine, "before_cursor_execute", fail)


# What the handler does last, and where its order is then.
ENDINGS: list[tuple[Ending, tuple[str, str | None]]] = [
    (broken, ("pending", None)),
    (asked_to_retry, ("pending", None)),
    (stopping, ("pending", None)),
    (bug, ("failed", "internal_error")),
    (unforeseen, ("failed", "internal_error")),
    (interrupted, ("failed", "internal_error")),
    (rolled_back, ("failed", "internal_error")),
    (unwritable, ("failed", "internal_error")),
]


def run_one(
    make_kernel: MakeKernel, url: str, ending: Ending, *, cancelled: bool
) -> tuple[Kernel, str]:
    """Run an order whose handler ends so; the caller asks for a cancel in mid-run."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        if cancelled:
            assert cancel(kernel, 1, run.order_id) == "running"
        ending(kernel, run)
        return {}

    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    return kernel, order_id


def where(kernel: Kernel, order_id: str) -> tuple[str, str | None]:
    found = order(kernel, order_id)
    return found.state, found.error_code


@pytest.mark.parametrize(("ending", "expected"), ENDINGS)
def test_order_goes_where_its_run_leaves_it(
    make_kernel: MakeKernel, database_url: str, ending: Ending, expected: tuple[str, str | None]
) -> None:
    kernel, order_id = run_one(make_kernel, database_url, ending, cancelled=False)
    assert where(kernel, order_id) == expected
    assert kernel.running == {}


@pytest.mark.parametrize("ending", [ending for ending, _ in ENDINGS])
def test_acknowledged_cancel_is_honoured_when_a_run_ends_without_an_outcome(
    make_kernel: MakeKernel, database_url: str, ending: Ending
) -> None:
    kernel, order_id = run_one(make_kernel, database_url, ending, cancelled=True)
    assert where(kernel, order_id) == ("cancelled", "cancelled")
    with kernel.read() as connection:
        owed = select(DELIVERIES.c.order_id).where(DELIVERIES.c.order_id == order_id)
        assert connection.execute(owed).all() == [(order_id,)]


def test_outcome_that_commits_first_wins_over_a_cancel(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel, order_id = run_one(make_kernel, database_url, lambda kernel, run: None, cancelled=True)
    assert where(kernel, order_id) == ("success", None)


def running(kernel: Kernel, **values: Any) -> str:
    """Make a running order that its caller has asked to cancel; its lease ended long ago."""
    now = kernel.clock.now()
    lease = now - kernel.lease
    return make_order(
        kernel, state="running", run=1, lease_until=lease, cancel_requested_at=now, **values
    )


def test_acknowledged_cancel_is_honoured_when_the_worker_died(kernel: Kernel) -> None:
    order_id, swept = running(kernel), Swept()
    rescue_orders(kernel, swept)
    assert where(kernel, order_id) == ("cancelled", "cancelled")
    assert list(swept.failed) == [order_id]


@pytest.mark.parametrize("why", Why)
def test_acknowledged_cancel_is_honoured_by_every_exit(kernel: Kernel, why: Why) -> None:
    order_id = running(kernel)
    end = leave(kernel, order_id, 1, Exit(why))
    assert end.outcome is not None
    assert where(kernel, order_id) == ("cancelled", "cancelled")


def test_acknowledged_cancel_is_honoured_when_a_claimed_order_does_not_begin(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """The second order is claimed by the first one's commit; the worker stops before it begins."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        return {}

    kernel = make_kernel(database_url, registry)
    order_ids = [make_order(kernel, select_tag="do", args="{}") for _ in range(2)]
    executing = execute_each(kernel, order_ids)
    next(executing)
    assert cancel(kernel, 1, order_ids[1]) == "running"
    executing.close()
    assert where(kernel, order_ids[1]) == ("cancelled", "cancelled")


def test_nothing_is_written_when_another_run_owns_the_order(kernel: Kernel) -> None:
    order_id = running(kernel)
    end = leave(kernel, order_id, 7, Exit(Why.BUG))
    assert (end.outcome, end.again_in) == (None, None)
    assert where(kernel, order_id) == ("running", None)


@pytest.mark.parametrize(
    "error",
    [OperationalError("away", {}, Exception("away")), PoolTimeout("no connection is free")],
    ids=["away", "busy"],
)
def test_exit_that_was_put_off_is_written_with_its_reason(
    make_kernel: MakeKernel, main_rows_url: str, error: Exception
) -> None:
    kernel = make_kernel(main_rows_url)
    order_id = make_order(kernel, state="running", run=1)
    away = kernel.engines.writing

    def refuse(*_: Any) -> None:
        raise error

    event.listen(away, "before_cursor_execute", refuse)
    assert leave(kernel, order_id, 1, Exit(Why.RETRY, after=60)).again_in is None
    event.remove(away, "before_cursor_execute", refuse)
    (end,) = retry_handbacks(kernel)
    assert end.again_in == 60
    assert (where(kernel, order_id), kernel.pending_handbacks) == (("pending", None), {})
    assert order(kernel, order_id).retries == 1


def test_order_fails_as_keeps_breaking_when_every_run_of_it_breaks(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel, order_id = run_one(make_kernel, database_url, broken, cancelled=False)
    for run in range(2, 21):
        kernel.clock.shift(31)
        assert where(kernel, order_id) == ("pending", None), run
        execute(kernel, order_id)
    assert where(kernel, order_id) == ("failed", "keeps_breaking")
    assert "gone" in (order(kernel, order_id).message or "")


def test_guard_is_taken_off_the_connection_however_a_run_ends(
    make_kernel: MakeKernel, database_url: str
) -> None:
    for ending, _ in ENDINGS:
        kernel, order_id = run_one(make_kernel, database_url, ending, cancelled=False)
        with kernel.run_connection() as connection:
            assert GUARD not in connection.info, ending
            assert connection.execute(text("SELECT 1")).scalar() == 1
            batch = Batch(kernel, connection, [order_id])
            assert batch.left == [order_id]
