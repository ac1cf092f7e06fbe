"""One row, two that want it: one gets it, and what lost it can commit nothing."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from kernel.db.tables.orders import ORDERS
from kernel.errors import LeaseLost
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.abilities import Kind
from tests.support.factories import make_order, order
from tests.support.stepwise_runs import Anything

MakeKernel = Callable[..., Kernel]


def test_order_runs_once_when_two_processes_claim_it_at_once(
    make_kernel: MakeKernel, database_url: str
) -> None:
    runs: list[str] = []
    handlers = Handlers()

    @handlers.register("count", Anything)
    def count(run: Run, args: Anything) -> dict[str, Any]:
        runs.append(run.order_id)
        return {}

    two = [make_kernel(database_url, handlers) for _ in range(2)]
    ids = [make_order(two[0], select_tag="count") for _ in range(5)]
    start = threading.Barrier(2)

    def work(kernel: Kernel) -> None:
        start.wait()
        for order_id in ids:
            execute(kernel, order_id)

    threads = [threading.Thread(target=work, args=(one,)) for one in two]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(runs) == ids
    assert {(order(two[0], one).state, order(two[0], one).run) for one in ids} == {("success", 1)}


def test_run_can_commit_nothing_when_its_order_is_another_runs(
    make_kernel: MakeKernel, database_url: str
) -> None:
    refused = []
    handlers = Handlers()

    @handlers.register("slow", Anything)
    def slow(run: Run, args: Anything) -> dict[str, Any]:
        with other.write_session() as session:
            session.execute(update(ORDERS).values(run=ORDERS.c.run + 1))
        try:
            run.checkpoint(1, 2)
        except LeaseLost as error:
            refused.append(error)
            raise
        return {}

    kernel, other = (make_kernel(database_url, handlers) for _ in range(2))
    order_id = make_order(kernel, select_tag="slow")
    execute(kernel, order_id)
    found = order(kernel, order_id)
    assert len(refused) == 1
    assert (found.state, found.run, found.checkpoint) == ("running", 2, 0)


def test_transaction_is_not_ended_in_disguise(
    make_kernel: MakeKernel, kernel: Kernel, kind: Kind
) -> None:
    said: list[str] = []
    handlers = Handlers()

    @handlers.register("sly", Anything)
    def sly(run: Run, args: Anything) -> dict[str, Any]:
        said.append(kind.enders[len(said)])
        run.session.connection().exec_driver_sql(said[-1])
        return {}

    sly_kernel = make_kernel(kernel.settings.database_url.get_secret_value(), handlers)
    for _ in kind.enders:
        order_id = make_order(sly_kernel, select_tag="sly")
        execute(sly_kernel, order_id)
        found = order(sly_kernel, order_id)
        ended = (
            found.state,
            found.run,
            found.error_code in ("internal_error", "transaction_ended"),
        )
        assert ended == ("failed", 1, True), said[-1]
    assert tuple(said) == kind.enders


def test_row_is_waited_for_no_longer_than_the_dialect_says(kernel: Kernel) -> None:
    first, second = make_order(kernel), make_order(kernel)
    mine, theirs = (update(ORDERS).where(ORDERS.c.id == one) for one in (first, second))
    with kernel.engine.begin() as connection:
        connection.execute(mine.values(message="mine"))
        with pytest.raises(DBAPIError) as refused, kernel.engine.begin() as rival:
            rival.execute(mine.values(message="theirs"))
        connection.execute(theirs.values(message="mine"))
    assert kernel.dialect.is_contention(refused.value.orig or refused.value)
    assert {order(kernel, one).message for one in (first, second)} == {"mine"}
