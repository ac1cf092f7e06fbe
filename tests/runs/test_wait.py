"""`return Wait(...)`: what is committed, what wakes the order, and what its next run finds."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select

from kernel import Handlers, Run, Wait
from kernel.builtin import projects
from kernel.db.states import OrderState
from kernel.db.tables.gates import EVENTS, GATES
from kernel.errors import Conflict, Retry
from kernel.orders.cancel import cancel
from kernel.orders.decide import MAX_WAITING_RUNS
from kernel.orders.due import due_orders
from kernel.orders.gates.events import Told, tell
from kernel.orders.transitions import RunEnd
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.gates.windows import wake_orders
from kernel.worker.maintenance.job import Swept
from tests.support.factories import make_order, order, rows
from tests.support.handlers.misbehaving import Named
from tests.support.rivals import at_once

MakeKernel = Callable[..., Kernel]
Does = Callable[[Run], Any]
YES = Told("approved", '{"by":"Ada"}')


def kernel_of(make_kernel: MakeKernel, url: str, does: Does, **settings: Any) -> Kernel:
    """A kernel whose handler writes a project and does what it is told."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> Any:
        name = f"{run.order_id}:{run.number}"
        run.session.execute(insert(projects).values(projname=name, prodesc="", projctime=run.now))
        return does(run)

    return make_kernel(url, registry, **settings)


def waits_once(run: Run) -> Any:
    """Wait for an approval, then say what there was."""
    if run.has_waited:
        return {"events": [[one.name, one.data, one.told_by] for one in run.events]}
    return Wait("approved", "rejected", until=run.now + timedelta(hours=8))


def begun(kernel: Kernel) -> str:
    """An order whose first run has ended."""
    order_id = make_order(kernel, select_tag="do", args="{}")
    assert execute(kernel, order_id) is not None
    return order_id


def result(kernel: Kernel, order_id: str) -> str | None:
    """Run the order once more; return the result that it ends with."""
    end = execute(kernel, order_id)
    assert end is not None
    return None if end.outcome is None else end.outcome.result


def gate(kernel: Kernel, order_id: str) -> Any:
    """What the order waits for."""
    with kernel.read() as connection:
        return connection.execute(select(GATES).where(GATES.c.order_id == order_id)).one()


def test_wait_commits_what_the_handler_wrote_and_holds_no_worker(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = kernel_of(make_kernel, database_url, waits_once)
    order_id = make_order(kernel, select_tag="do", args="{}")
    end = execute(kernel, order_id)
    found, waits = order(kernel, order_id), gate(kernel, order_id)
    assert end == RunEnd(order_id, waits=True)
    assert (found.state, found.lease_until, found.runner) == ("waiting", None, None)
    assert len(rows(kernel, projects)) == 1
    assert waits.waiting_for == "event:approved,rejected"
    assert abs((waits.wakes_at - waits.waiting_since) - timedelta(hours=8)) < timedelta(minutes=1)
    assert due_orders(kernel, 10) == []
    assert execute(kernel, order_id) is None


def test_event_that_is_awaited_makes_the_order_due_and_is_given_to_the_next_run(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = kernel_of(make_kernel, database_url, waits_once)
    order_id = begun(kernel)
    assert tell(kernel, order_id, Told("seen")).woken == ()
    assert tell(kernel, order_id, YES).woken == (order_id,)
    assert gate(kernel, order_id).waiting_for is None
    assert (
        result(kernel, order_id)
        == '{"events":[["seen",{},"kernel"],["approved",{"by":"Ada"},"kernel"]]}'
    )


def test_early_event_is_kept_and_ends_the_wait_in_the_commit_that_begins_it(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = kernel_of(make_kernel, database_url, waits_once)
    order_id = make_order(kernel, select_tag="do", args="{}")
    assert tell(kernel, order_id, YES).woken == ()
    assert execute(kernel, order_id) == RunEnd(order_id, again_in=0.0)
    assert order(kernel, order_id).state == "pending"
    assert result(kernel, order_id) == '{"events":[["approved",{"by":"Ada"},"kernel"]]}'


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_event_that_comes_during_the_run_is_found_by_its_wait(
    make_kernel: MakeKernel, request: pytest.FixtureRequest, kind: str
) -> None:
    def does(run: Run) -> Any:
        if not run.has_waited:  # a file has one writer, which is this run
            tell(kernel, run.order_id, YES)
        return waits_once(run)

    kernel = kernel_of(make_kernel, request.getfixturevalue(f"{kind}_rows_url"), does)
    order_id = make_order(kernel, select_tag="do", args="{}")
    assert execute(kernel, order_id) == RunEnd(order_id, again_in=0.0)
    assert result(kernel, order_id) == '{"events":[["approved",{"by":"Ada"},"kernel"]]}'


def test_event_ends_one_wait_and_no_second_one(make_kernel: MakeKernel, database_url: str) -> None:
    kernel = kernel_of(make_kernel, database_url, lambda run: Wait("approved"))
    order_id = begun(kernel)
    for _ in range(2):
        assert tell(kernel, order_id, YES).woken == (order_id,)
        assert execute(kernel, order_id) == RunEnd(order_id, waits=True)
    assert [one.is_used for one in rows(kernel, EVENTS)] == [True, True]


def test_each_early_event_ends_one_wait(make_kernel: MakeKernel, database_url: str) -> None:
    kernel = kernel_of(make_kernel, database_url, lambda run: Wait("approved"))
    order_id = make_order(kernel, select_tag="do", args="{}")
    for key in ("ada", "bob"):
        tell(kernel, order_id, Told("approved", key=key))
    for _ in range(2):
        assert execute(kernel, order_id) == RunEnd(order_id, again_in=0.0)
    assert execute(kernel, order_id) == RunEnd(order_id, waits=True)


def test_order_goes_on_without_events_when_its_time_is_over(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = kernel_of(make_kernel, database_url, waits_once)
    order_id = begun(kernel)
    swept = Swept()
    wake_orders(kernel, swept)
    assert swept.rescued == []
    kernel.clock.shift(8 * 3600 + 1)
    wake_orders(kernel, swept)
    assert swept.rescued == [order_id]
    assert result(kernel, order_id) == '{"events":[]}'


def test_wait_without_a_time_ends_after_the_longest_wait(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    settings = {"longest_wait_days": 2}
    kernel = kernel_of(make_kernel, sqlite_url, lambda run: Wait("approved"), **settings)
    waits = gate(kernel, begun(kernel))
    assert abs((waits.wakes_at - waits.waiting_since) - timedelta(days=2)) < timedelta(minutes=1)


def test_cancel_ends_an_order_that_waits(make_kernel: MakeKernel, database_url: str) -> None:
    kernel = kernel_of(make_kernel, database_url, waits_once)
    order_id = begun(kernel)
    assert cancel(kernel, None, order_id) is OrderState.CANCELLED
    assert (gate(kernel, order_id).waiting_for, gate(kernel, order_id).wakes_at) == (None, None)


def test_cancel_that_was_acknowledged_is_honoured_and_what_was_returned_is_kept(
    make_kernel: MakeKernel, mariadb_rows_url: str
) -> None:
    def does(run: Run) -> Any:
        cancel(kernel, None, run.order_id)
        return Wait("approved")

    kernel = kernel_of(make_kernel, mariadb_rows_url, does)
    order_id = begun(kernel)
    assert order(kernel, order_id).state == "cancelled"
    assert len(rows(kernel, projects)) == 1


def test_what_is_raised_rolls_back_and_events_stay(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def does(run: Run) -> Any:
        if run.number == 1:
            raise Retry(0)
        return {"n": len(run.events)}

    kernel = kernel_of(make_kernel, database_url, does)
    order_id = make_order(kernel, select_tag="do", args="{}")
    tell(kernel, order_id, YES)
    execute(kernel, order_id)
    assert rows(kernel, projects) == []
    assert result(kernel, order_id) == '{"n":1}'


def test_order_that_waits_again_and_again_ends(make_kernel: MakeKernel, sqlite_url: str) -> None:
    kernel = kernel_of(make_kernel, sqlite_url, lambda run: Wait("approved"))
    row = {"select_tag": "do", "args": "{}", "run": MAX_WAITING_RUNS - 1}
    order_id = make_order(kernel, **row)
    execute(kernel, order_id)
    found = order(kernel, order_id)
    assert (found.state, found.error_code) == ("failed", "waits_too_often")


WRONG: list[tuple[Callable[[], object], type[Exception]]] = [
    (Wait, ValueError),
    (lambda: Wait("Approved"), ValueError),
    (lambda: Wait("a,b"), ValueError),
    (lambda: Wait(3), TypeError),  # type: ignore[arg-type]
    (lambda: Wait(*(f"{n:0100}" for n in range(3))), ValueError),
    (lambda: Wait("a", until=datetime(2026, 1, 1)), ValueError),
    (lambda: Wait("a", until=8), TypeError),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "kind"), WRONG, ids=range(len(WRONG)))
def test_wait_that_could_not_end_is_refused(
    make: Callable[[], object], kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="Wait: "):
        make()


def test_wait_says_what_it_is_for() -> None:
    until = datetime(2026, 1, 1, tzinfo=UTC)
    assert Wait("a", "b", "a").what == "event:a,b"
    assert (Wait.children(until).what, Wait.children(until).until) == ("children", until)


def race(make_kernel: MakeKernel, url: str, *works: Callable[[Kernel, str], Any]) -> list[Any]:
    """Let works on one order that waits run at the same moment, ten times; return its ends."""
    kernel = kernel_of(make_kernel, url, waits_once)
    ends = []
    for _ in range(10):
        order_id = begun(kernel)
        at_once(*(partial(work, kernel, order_id) for work in works))
        if order(kernel, order_id).state == "pending":
            execute(kernel, order_id)
        ends.append(order(kernel, order_id))
    return ends


def late(kernel: Kernel, order_id: str) -> None:
    """Have the wait end by its time."""
    with kernel.write() as connection:
        past = kernel.clock.sql(-timedelta(seconds=1))
        connection.execute(GATES.update().where(GATES.c.order_id == order_id).values(wakes_at=past))
    wake_orders(kernel, Swept())


def test_event_at_the_deadline_is_lost_by_no_run(
    make_kernel: MakeKernel, database_url: str
) -> None:
    ends = race(make_kernel, database_url, late, lambda k, one: tell(k, one, YES))
    assert {one.state for one in ends} == {"success"}
    assert all("approved" in (one.result or "") for one in ends)


def test_cancel_at_the_event_ends_the_order_once(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def told(kernel: Kernel, order_id: str) -> None:
        with suppress(Conflict):
            tell(kernel, order_id, YES)

    ends = race(make_kernel, database_url, lambda k, one: cancel(k, None, one), told)
    assert {one.state for one in ends} == {"cancelled"}


def test_event_while_an_order_goes_to_wait_is_seen_by_one_of_both(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = kernel_of(make_kernel, database_url, waits_once)
    for _ in range(10):
        order_id = make_order(kernel, select_tag="do", args="{}")
        at_once(partial(execute, kernel, order_id), partial(tell, kernel, order_id, YES))
        assert order(kernel, order_id).state == "pending", order_id
        # Once more where its claim had looked at it before the event came.
        for _ in range(2):
            execute(kernel, order_id)
        assert order(kernel, order_id).state == "success"
