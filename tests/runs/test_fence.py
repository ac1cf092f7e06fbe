"""What a run that no longer owns its order can still do: nothing."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import OperationalError

from kernel.builtin import projects
from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.runs.execute import execute
from kernel.runs.leases import renew_leases
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, handlers, names, write
from tests.support.lossy_proxy import LossyProxy
from tests.support.postgresql import PostgreSQL
from tests.support.rivals import Rival, touch
from tests.support.servers import MariaDB

MakeKernel = Callable[..., Kernel]


def written(kernel: Kernel) -> list[str]:
    """The names of all rows that were committed."""
    with kernel.read_session() as session:
        return names(session)


def change(kernel: Kernel, order_id: str, **values: Any) -> None:
    """Change the order's row as somebody else would."""
    with kernel.write_session() as session:
        session.execute(update(ORDERS).where(ORDERS.c.id == order_id).values(**values))


def run_while(
    make_kernel: MakeKernel, url: str, meanwhile: Callable[[Kernel, Run], object], *, save: bool
) -> tuple[Kernel, str]:
    """Execute an order; ``meanwhile`` happens before its handler writes, saves and finishes."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        meanwhile(kernel, run)
        write(run, "mine")
        if save:
            run.checkpoint(1, 2)
        return {}

    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    return kernel, order_id


@pytest.mark.parametrize("save", [True, False])
@pytest.mark.parametrize(
    "values", [{"run": 2}, {"checkpoint": 1}, {"state": "pending"}, {"state": "failed"}]
)
def test_run_commits_nothing_when_its_fence_is_gone(
    make_kernel: MakeKernel, database_url: str, values: dict[str, Any], save: bool
) -> None:
    def steal(kernel: Kernel, run: Run) -> None:
        change(kernel, run.order_id, **values)

    kernel, order_id = run_while(make_kernel, database_url, steal, save=save)
    assert written(kernel) == []
    assert {name: getattr(order(kernel, order_id), name) for name in values} == values


def test_checkpoint_inside_a_savepoint_is_refused_and_its_block_can_be_undone(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def try_row(kernel: Kernel, run: Run) -> None:
        with suppress(LookupError), run.savepoint():
            write(run, "undone")
            with pytest.raises(RuntimeError, match="a savepoint is open"):
                run.checkpoint(1, 2)
            raise LookupError

    kernel, order_id = run_while(make_kernel, database_url, try_row, save=True)
    assert order(kernel, order_id).state == "success"
    assert written(kernel) == ["mine"]


def test_order_is_cancelled_at_its_checkpoint_when_it_is_running(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def ask(kernel: Kernel, run: Run) -> None:
        assert cancel(kernel, 1, run.order_id) == "running"

    kernel, order_id = run_while(make_kernel, database_url, ask, save=True)
    found = order(kernel, order_id)
    assert (found.state, found.error_code, written(kernel)) == ("cancelled", "cancelled", [])


def test_finish_wins_when_cancel_comes_after_the_last_checkpoint(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def ask(kernel: Kernel, run: Run) -> None:
        cancel(kernel, 1, run.order_id)

    kernel, order_id = run_while(make_kernel, database_url, ask, save=False)
    assert (order(kernel, order_id).state, written(kernel)) == ("success", ["mine"])


def test_cancelled_order_stays_cancelled_when_its_handler_swallows_it(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = make_kernel(database_url, handlers)
    order_id = make_order(
        kernel, select_tag="swallow", args="{}", cancel_requested_at=kernel.clock.now()
    )
    execute(kernel, order_id)
    assert (order(kernel, order_id).state, written(kernel)) == ("cancelled", [])


def test_order_is_handed_back_after_its_checkpoint_when_the_worker_stops(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def stop(kernel: Kernel, run: Run) -> None:
        kernel.stopping.set()

    kernel, order_id = run_while(make_kernel, database_url, stop, save=True)
    found = order(kernel, order_id)
    assert (found.state, found.crashes, found.progress_current) == ("pending", 0, 1)
    assert written(kernel) == ["mine"]


def test_run_is_lost_when_its_lease_cannot_be_renewed(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def steal(kernel: Kernel, run: Run) -> None:
        change(kernel, run.order_id, run=7)
        renew_leases(kernel, [run])
        assert run.lost

    kernel, _ = run_while(make_kernel, database_url, steal, save=False)
    assert written(kernel) == []


def test_lease_is_extended_when_it_is_renewed(make_kernel: MakeKernel, database_url: str) -> None:
    seen = []

    def renew(kernel: Kernel, run: Run) -> None:
        kernel.clock.shift(10)
        renew_leases(kernel, [run])
        seen.append((order(kernel, run.order_id).lease_until - run.now).total_seconds())

    run_while(make_kernel, database_url, renew, save=False)
    assert 39 < seen[0] < 45


@pytest.mark.parametrize("save", [True, False])
def test_work_is_done_once_when_the_answer_to_commit_is_lost(
    make_kernel: MakeKernel, main_database: MariaDB | PostgreSQL, main_rows_url: str, save: bool
) -> None:
    with LossyProxy(main_database.port) as proxy:

        def lose(kernel: Kernel, run: Run) -> None:
            (proxy.lose_commit if run.number == 1 else proxy.keep)()

        url = main_rows_url.replace(str(main_database.port), str(proxy.port))
        kernel, order_id = run_while(make_kernel, url, lose, save=save)
        kernel.clock.shift(60)
        execute(kernel, order_id)
        assert (proxy.lost, order(kernel, order_id).state) == (1, "success")
        assert written(kernel) == (["mine", "mine"] if save else ["mine"])


def test_order_runs_again_when_its_handler_swallows_a_lock_wait(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, handlers)
    with kernel.write_session() as session:
        session.execute(
            insert(projects).values(projname="wanted", prodesc="", projctime=kernel.clock.now())
        )
    order_id = make_order(kernel, select_tag="lock", args="{}")
    with kernel.write_session() as session:
        session.execute(update(projects).values(prodesc="held by somebody else"))
        execute(kernel, order_id)  # waits as long as a lock is waited for, then an error
    assert (order(kernel, order_id).state, written(kernel)) == ("pending", ["wanted"])
    kernel.clock.shift(60)
    execute(kernel, order_id)
    assert written(kernel) == ["wanted", "before-2", "after-2"]


def test_order_runs_again_when_its_handler_swallows_a_deadlock(
    make_kernel: MakeKernel, mariadb_rows_url: str
) -> None:
    def deadlock(kernel: Kernel, run: Run) -> None:
        if run.number == 1:
            with Rival(kernel) as rival, suppress(OperationalError):
                touch(run.session, "first")
                rival.wants("first")
                touch(run.session, "second")
                pytest.fail("the server chose the rival")

    kernel, order_id = run_while(make_kernel, mariadb_rows_url, deadlock, save=False)
    found = order(kernel, order_id)
    assert (found.state, found.run, "mine" in written(kernel)) == ("pending", 1, False)
    kernel.clock.shift(60)
    execute(kernel, order_id)
    assert (order(kernel, order_id).state, written(kernel).count("mine")) == ("success", 1)
