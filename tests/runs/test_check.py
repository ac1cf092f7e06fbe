"""`run.check()` sees a cancel, a stop and a lost lease, and commits nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, update

from kernel.db.tables.orders import ORDERS
from kernel.errors import LeaseLost, OrderCancelled, RunInterrupted, WorkerStopping
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, names, write

MakeKernel = Callable[..., Kernel]


def steal(kernel: Kernel, run: Run) -> None:
    with kernel.write_session() as session:
        session.execute(update(ORDERS).where(ORDERS.c.id == run.order_id).values(run=7))


def ask_for_cancel(kernel: Kernel, run: Run) -> None:
    cancel(kernel, 1, run.order_id)


def stop(kernel: Kernel, run: Run) -> None:
    kernel.stopping.set()


def run_one(
    make_kernel: MakeKernel, url: str, work: Callable[[Kernel, Run], object]
) -> tuple[Kernel, Any]:
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        work(kernel, run)
        write(run, "mine")
        return {}

    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    return kernel, order(kernel, order_id)


@pytest.mark.parametrize("swallowed", [True, False])
@pytest.mark.parametrize(
    ("meanwhile", "raised", "left"),
    [
        (ask_for_cancel, OrderCancelled, ("cancelled", 1)),
        (stop, WorkerStopping, ("pending", 1)),
        (steal, LeaseLost, ("running", 7)),
    ],
)
def test_check_raises_what_a_checkpoint_would(
    make_kernel: MakeKernel,
    database_url: str,
    meanwhile: Callable[[Kernel, Run], None],
    raised: type[RunInterrupted],
    left: tuple[str, int],
    swallowed: bool,
) -> None:
    def work(kernel: Kernel, run: Run) -> None:
        meanwhile(kernel, run)
        with pytest.raises(raised) as caught:
            run.check()
        if not swallowed:
            raise caught.value

    kernel, found = run_one(make_kernel, database_url, work)
    assert (found.state, found.run, found.checkpoint) == (*left, 0)
    with kernel.read_session() as session:
        assert names(session) == []


def test_check_costs_one_question_a_second_and_none_of_the_runs_own(
    make_kernel: MakeKernel, database_url: str
) -> None:
    said: list[str] = []

    def work(kernel: Kernel, run: Run) -> None:
        engine = kernel.engines.single
        heard: tuple[Any, ...] = (engine, "before_cursor_execute", note)
        event.listen(*heard)
        for _ in range(100):
            run.check()
        event.remove(*heard)
        assert not run.session.in_transaction()

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement.split(maxsplit=1)[0])

    _, found = run_one(make_kernel, database_url, work)
    assert (found.state, said.count("SELECT")) == ("success", 1)
    assert set(said) <= {"SELECT", "BEGIN"}
