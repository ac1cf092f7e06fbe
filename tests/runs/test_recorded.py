"""Run again from a step: a new order that takes over what was recorded, or a live one that forgets.

And where recorded steps go with their order.
"""

import json
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.callers.audit.search import ActFilter, find
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import ORDERS, Order
from kernel.db.tables.steps import STEPS
from kernel.errors import Conflict, NotFound, Retry
from kernel.handlers import Run
from kernel.orders.secrets.arguments import SecretsGone
from kernel.orders.secrets.erase import Whose, erase
from kernel.orders.submit import submit
from kernel.runs.execute import execute
from kernel.runs.recorded import find_step, list_steps, rerun_of, run_live_again, taking_over
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.prune import ROWS, prune
from tests.support.factories import ANYBODY, make_order, make_step, order, request, rows
from tests.support.handlers.stepping import Desk, MakeKernel

BY = By(Actor("ada", "page"))


def rerun(kernel: Kernel, order_id: str, name: str) -> str:
    """Submit an order that has ended again from a step on; return the new one's id."""
    with kernel.read_session() as session:
        ended = session.get_one(Order, order_id)
        steps, step = list_steps(session, ended), find_step(session, ended, name)
        along = taking_over(kernel, ended, steps, step, BY)
    return submit(kernel, ANYBODY, request("do", pin=None), along=along).order_id


def test_new_order_takes_over_what_was_recorded_before_the_step(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """The outcome of the one that has ended stays, and so does its callback."""
    done: list[str] = []

    def work(run: Run) -> Any:
        first = run.step("vm", lambda: done.append(run.key("vm")) or "vm-1")
        second = run.step("dns", lambda: done.append(run.key("dns")) or "dns-1")
        if run.order_id == desk.order_id:
            run.step("mail", lambda: 1 / 0)
        return [first, second]

    desk = Desk(make_kernel, database_url, work)
    ended, told = desk.run(), rows(desk.kernel, DELIVERIES)
    assert ended.state == "failed"
    assert not run_live_again(desk.kernel, desk.order_id, "dns", BY)
    new = rerun(desk.kernel, desk.order_id, "dns")
    execute(desk.kernel, new)
    assert json.loads(order(desk.kernel, new).result or "") == {"of": ["vm-1", "dns-1"]}
    assert done == [f"{desk.order_id}/vm", f"{desk.order_id}/dns", f"{new}/dns"]
    left = desk.order
    assert (left.state, left.finished_at) == ("failed", ended.finished_at)
    assert [one for one in rows(desk.kernel, DELIVERIES) if one.order_id != new] == told
    with desk.kernel.read_session() as session:
        assert rerun_of(session, session.get_one(Order, new)) == desk.order_id
        assert rerun_of(session, session.get_one(Order, desk.order_id)) is None
    with desk.kernel.read() as connection:
        (act,) = find(connection, ActFilter())
    assert (act["actor"], act["verb"], act["target"]) == (
        "ada",
        "order.rerun",
        f"order {desk.order_id}",
    )
    assert act["after"] == {"order": new, "from": "dns"}


def test_live_order_does_the_step_and_those_after_it_again_with_new_keys(
    make_kernel: MakeKernel, database_url: str
) -> None:
    done: list[str] = []

    def work(run: Run) -> None:
        for name in ("a", "b", "c"):
            run.step(name, lambda name=name: done.append(run.key(name)))
        if run.number == 1:
            raise Retry(after=86_400)

    desk = Desk(make_kernel, database_url, work)
    desk.run()
    assert run_live_again(desk.kernel, desk.order_id, "b", BY)
    assert desk.told() == [("a", 1, True), ("b", 0, False), ("c", 0, False)]
    assert desk.run().state == "success", "due at once"
    mine = desk.order_id
    assert done == [f"{mine}/a", f"{mine}/b", f"{mine}/c", f"{mine}+1/b", f"{mine}+1/c"]
    assert desk.told() == [("a", 1, True), ("b", 1, True), ("c", 1, True)]


def test_running_order_and_unknown_step_are_refused(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    order_id = make_order(kernel, state="running")
    make_step(kernel, order_id, 1, "vm", result='"vm-1"')
    with pytest.raises(Conflict, match="running"):
        run_live_again(kernel, order_id, "vm", BY)
    with pytest.raises(NotFound, match="no step dns; there are: vm"):
        run_live_again(kernel, order_id, "dns", BY)
    with pytest.raises(NotFound, match="there are: none"):
        run_live_again(kernel, make_order(kernel), "vm", BY)
    with pytest.raises(NotFound, match="no order"):
        run_live_again(kernel, "nonsense", "vm", BY)
    assert [one.result for one in rows(kernel, STEPS)] == ['"vm-1"']


def test_waiting_order_forgets_and_waits_on(make_kernel: MakeKernel, database_url: str) -> None:
    kernel = make_kernel(database_url)
    order_id = make_order(kernel, state="waiting")
    make_step(kernel, order_id, 1, "vm")
    assert run_live_again(kernel, order_id, "vm", BY)
    assert order(kernel, order_id).state == "waiting"
    assert [one.done_at for one in rows(kernel, STEPS)] == [None]


def test_rerun_keeps_the_row_of_what_else_the_new_order_waits_for(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = make_kernel(database_url)
    order_id = make_order(kernel, state="failed", finished_at=kernel.clock.now())
    make_step(kernel, order_id, 1, "vm")
    with kernel.read_session() as session:
        ended = session.get_one(Order, order_id)
        steps = list_steps(session, ended)
        along = taking_over(kernel, ended, steps, steps[0], BY)
    new = make_order(kernel)
    with kernel.write() as connection:
        connection.execute(GATES.insert().values(order_id=new, caller_id=1, place=7))
        along(connection, new)
    (gate,) = rows(kernel, GATES)
    assert (gate.place, gate.rerun_of) == (7, order_id)
    assert order(kernel, new).gates == Has.STEPS | Has.RERUN
    assert len(rows(kernel, STEPS)) == 1


def test_rerun_is_refused_when_a_result_that_it_needs_was_secret_and_is_gone(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    order_id = make_order(kernel, state="failed", finished_at=kernel.clock.now())
    make_step(kernel, order_id, 1, "password", result=None)
    make_step(kernel, order_id, 2, "mail")
    with pytest.raises(SecretsGone):
        rerun(kernel, order_id, "mail")
    with kernel.read_session() as session:
        ended = session.get_one(Order, order_id)
        steps = list_steps(session, ended)
        assert taking_over(kernel, ended, steps, steps[0], BY), "that one is made again"


def test_steps_are_erased_with_their_order(make_kernel: MakeKernel, database_url: str) -> None:
    kernel = make_kernel(database_url)
    ids = [make_order(kernel, state="failed", finished_at=kernel.clock.now()) for _ in "ab"]
    for one in ids:
        make_step(kernel, one, 1, "vm", result='{"name": "Ada"}')
    assert list(erase(kernel, Whose(order_id=ids[0]))) == [1]
    assert [one.order_id for one in rows(kernel, STEPS)] == ids[1:]


def test_steps_are_pruned_with_their_order_in_bounded_transactions(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = make_kernel(database_url)
    ids = [make_order(kernel, state="success", finished_at=kernel.clock.now()) for _ in "ab"]
    kept = make_order(kernel)
    make_step(kernel, kept, 1, "vm")
    make_step(kernel, ids[0], 1, "vm")
    many = {"order_id": ids[1], "attempts": 1, "again": 0, "started_at": kernel.clock.now()}
    with kernel.write() as connection:
        found = [many | {"number": n, "name": f"step-{n}"} for n in range(2 * ROWS + 10)]
        connection.execute(STEPS.insert(), found)
    kernel.clock.shift(400 * 86_400)
    sizes = [len(rows(kernel, STEPS))]
    while len(rows(kernel, ORDERS)) > 1:
        prune(kernel)
        sizes.append(len(rows(kernel, STEPS)))
    assert all(before - after <= ROWS for before, after in pairwise(sizes))
    assert [one.order_id for one in rows(kernel, STEPS)] == [kept]


def test_order_without_steps_is_not_asked_for_them(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    order_id = make_order(kernel, checkpoint=9)
    with kernel.read_session() as session:
        found = session.scalars(select(Order).where(Order.id == order_id)).one()
    assert list_steps(None, found) == []  # type: ignore[arg-type]
    assert rerun_of(None, found) is None  # type: ignore[arg-type]
