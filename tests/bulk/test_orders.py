"""Bulk acts on orders: re-runs and cancels, each once, however often a step is done."""

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import Connection, update

from kernel.bulk.choosing import Span, next_page
from kernel.bulk.jobs import abort, left_of, made_by
from kernel.bulk.steps import step
from kernel.db.ids import new_id
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.gates import GATES
from kernel.db.tables.operating.bulk import JOBS, RERUNS
from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.bulk import begun, job, plan, stepped, worker
from tests.support.factories import make_delivery, make_order, order, rows, sweep_for

MakeKernel = Callable[..., Kernel]


def failed(kernel: Kernel, **values: Any) -> str:
    """An order that has failed."""
    ended = {"state": "failed", "error_code": "timed_out", "finished_at": kernel.clock.now()}
    return make_order(kernel, **{**ended, **values})


def reruns(kernel: Kernel) -> dict[str, str]:
    """As which orders others were run again."""
    return {row.order_id: row.new_id for row in rows(kernel, RERUNS)}


def test_failed_orders_are_run_again_and_others_are_left_alone(kernel: Kernel) -> None:
    ids = [failed(kernel, reference=f"INC{number}") for number in range(3)]
    failed(kernel, error_code="other")
    make_order(kernel, state="success", finished_at=kernel.clock.now())
    job_id = begun(kernel, "rerun", error="timed_out")
    (done,) = stepped(kernel, job_id)
    assert len(done.hints) == 3
    found = job(kernel, job_id)
    assert (found.state, found.counted, found.done, found.left_out) == ("done", 3, 3, 0)
    assert set(made := reruns(kernel)) == set(ids)
    assert [order(kernel, made[one]).reference for one in ids] == ["INC0", "INC1", "INC2"]
    assert {row.order_id: row.rerun_of for row in rows(kernel, GATES)} == {
        new: old for old, new in made.items()
    }
    assert drain(kernel)
    assert {order(kernel, one).state for one in made.values()} == {"success"}


def test_second_rerun_happens_only_when_it_is_asked_for(kernel: Kernel) -> None:
    old = failed(kernel)
    stepped(kernel, begun(kernel, "rerun"))
    first = reruns(kernel)[old]
    unasked = begun(kernel, "rerun")
    assert stepped(kernel, unasked)[0].hints == []
    assert (job(kernel, unasked).done, job(kernel, unasked).left_out) == (0, 1)
    with kernel.read_session() as session:
        assert [(row.item_id, row.code) for row in left_of(session, unasked)] == [
            (old, "already_rerun")
        ]
    asked = begun(kernel, "rerun", again=True)
    stepped(kernel, asked)
    assert reruns(kernel)[old] != first
    with kernel.read_session() as session:
        assert [row.order_id for row in made_by(session, asked)] == [old]


def test_text_of_an_act_names_what_it_named_when_it_began(kernel: Kernel) -> None:
    """No order gets into it by a reference that comes while it is under way."""
    words = [make_order(kernel, args='{"projname":"INC0012"}') for _ in range(3)]
    job_id = begun(kernel, "cancel", text="INC0012", rate=60)
    step(by := worker(kernel), job_id)
    named = make_order(kernel, reference="INC0012")
    for _ in words:
        kernel.clock.shift(1.1)
        stepped(kernel, job_id, by)
    assert (job(kernel, job_id).state, job(kernel, job_id).done) == ("done", 3)
    assert [order(kernel, one).state for one in (*words, named)] == ["cancelled"] * 3 + ["pending"]


def test_orders_of_an_act_are_those_that_were_there_when_it_began(kernel: Kernel) -> None:
    failed(kernel)
    job_id = begun(kernel, "rerun")
    failed(kernel)
    stepped(kernel, job_id)
    assert job(kernel, job_id).done == 1


def test_orders_that_cannot_be_run_again_are_left_with_the_reason(kernel: Kernel) -> None:
    bad = failed(kernel, args='{"projname": 5}')
    good = failed(kernel)
    job_id = begun(kernel, "rerun")
    stepped(kernel, job_id)
    assert (job(kernel, job_id).done, job(kernel, job_id).left_out) == (1, 1)
    with kernel.read_session() as session:
        (left,) = left_of(session, job_id)
    assert (left.item_id, left.code) == (bad, "invalid_order")
    assert "/projname" in left.said
    assert list(reruns(kernel)) == [good]


def test_rerun_keeps_what_the_order_was_submitted_with(kernel: Kernel) -> None:
    failed(kernel, reference="INC1", priority=1, callback_url="", is_original=True)
    stepped(kernel, begun(kernel, "rerun", reference="INC1"))
    (new,) = reruns(kernel).values()
    made = order(kernel, new)
    assert (made.reference, made.priority, made.callback_url) == ("INC1", 1, "")
    assert (made.is_original, made.args) == (True, '{"projname":"Bridge"}')


def test_live_orders_are_cancelled_whatever_they_do(kernel: Kernel) -> None:
    pending, running = make_order(kernel), make_order(kernel, state="running")
    ended = failed(kernel)
    job_id = begun(kernel, "cancel")
    (done,) = stepped(kernel, job_id)
    assert [end.order_id for end in done.ends] == [pending]
    assert order(kernel, pending).state == "cancelled"
    assert order(kernel, running).cancel_requested_at is not None
    assert order(kernel, ended).state == "failed"
    assert (job(kernel, job_id).state, job(kernel, job_id).done) == ("done", 2)


def test_aborted_act_changes_nothing_more(kernel: Kernel) -> None:
    for _ in range(5):
        make_order(kernel)
    job_id = begun(kernel, "cancel")
    stepped_once = worker(kernel, seconds=0.0)
    from kernel.bulk.steps import step

    assert step(stepped_once, job_id) is not None
    assert abort(kernel, job_id)
    assert not abort(kernel, job_id), "it has ended"
    assert stepped(kernel, job_id) == []
    states = [row.state for row in rows(kernel, ORDERS)]
    assert (states.count("cancelled"), states.count("pending")) == (1, 4)
    assert (job(kernel, job_id).state, job(kernel, job_id).done) == ("aborted", 1)


def test_rate_is_kept_by_the_time_of_the_next_step(kernel: Kernel) -> None:
    for _ in range(5):
        make_order(kernel)
    job_id = begun(kernel, "cancel", rate=120)
    assert len(stepped(kernel, job_id)) == 1
    assert job(kernel, job_id).done == 2
    kernel.clock.shift(1.1)
    assert len(stepped(kernel, job_id)) == 1
    assert job(kernel, job_id).done == 4


def test_act_waits_while_too_many_orders_of_the_caller_are_pending(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, max_pending=1)
    for _ in range(3):
        failed(kernel)
    job_id = begun(kernel, "rerun")
    stepped(kernel, job_id)
    found = job(kernel, job_id)
    assert (found.state, found.done, found.left_out) == ("running", 1, 0)
    assert "Too many of your orders" in found.last_error
    drain(kernel)
    kernel.clock.shift(6)
    assert stepped(kernel, job_id)
    assert job(kernel, job_id).done == 2


def test_two_acts_at_once_run_an_order_again_once(kernel: Kernel) -> None:
    ids = {failed(kernel) for _ in range(8)}
    jobs, together = [begun(kernel, "rerun") for _ in range(2)], Barrier(2)

    def work(job_id: str) -> None:
        together.wait()
        stepped(kernel, job_id)

    threads = [Thread(target=work, args=(one,)) for one in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    new = [row for row in rows(kernel, ORDERS) if row.idempotency_key is not None]
    assert set(reruns(kernel)) == ids
    assert len(new) == 8
    assert sum(row.done for row in rows(kernel, JOBS)) == 8


@pytest.mark.parametrize("kind", ["rerun", "cancel"])
def test_every_change_is_an_act_of_the_person_who_began_it(kernel: Kernel, kind: str) -> None:
    from kernel.db.tables.audit import ACTS

    order_id = failed(kernel) if kind == "rerun" else make_order(kernel)
    job_id = begun(kernel, kind)
    stepped(kernel, job_id)
    begins, does = rows(kernel, ACTS)
    assert (begins.verb, begins.target) == (f"bulk.{kind}", f"bulk {job_id}")
    assert (does.verb, does.target) == (f"order.{kind}", f"order {order_id}")
    assert {(one.actor, one.via, one.reason) for one in (begins, does)} == {("ann", "page", "INC7")}
    assert job_id in does.after


class Meanwhile:
    """What is asked for rows, with something that happens before one of its statements."""

    def __init__(self, connection: Connection, at: int, happens: Callable[[], object]) -> None:
        self.connection, self.left, self.happens = connection, at, happens

    def execute(self, statement: Any) -> Any:
        if self.left == 0:
            self.happens()
        self.left -= 1
        return self.connection.execute(statement)


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize(
    ("kind", "moves"),
    [
        ("cancel", ("running", "pending")),
        ("cancel", ("running", "waiting")),
        ("cancel", ("pending", "running")),
        ("drop", ("pending", "held")),
        ("drop", ("held", "pending")),
    ],
)
def test_item_that_changes_its_state_during_a_step_is_one_of_the_acts(
    kernel: Kernel, kind: str, moves: tuple[str, str], at: int
) -> None:
    before, after = moves
    is_order = kind == "cancel"
    item = make_order(kernel, state=before) if is_order else make_delivery(kernel, state=before)
    table = ORDERS if is_order else DELIVERIES

    def move() -> None:
        with kernel.write() as connection:
            connection.execute(update(table).where(table.c.id == item).values(state=after))

    with kernel.read() as connection:
        asked: Any = Meanwhile(connection, at, move)
        span = Span(new_id(kernel.clock.now()), kernel.clock.now())
        assert next_page(asked, plan(kind), span, None, 10).ids == [item]


@pytest.mark.parametrize("first", range(6))
def test_order_that_is_put_off_and_claimed_again_during_a_step_is_one_of_the_acts(
    kernel: Kernel, first: int
) -> None:
    item = make_order(kernel, state="running")

    def move(state: str) -> None:
        with kernel.write() as connection:
            mine = update(ORDERS).where(ORDERS.c.id == item)
            connection.execute(mine.values(state=state))

    for second in range(first + 1, 7):
        move("running")
        with kernel.read() as connection:
            asked: Any = Meanwhile(connection, second, lambda: move("running"))
            asked = Meanwhile(asked, first, lambda: move("pending"))
            span = Span(new_id(kernel.clock.now()), kernel.clock.now())
            assert next_page(asked, plan("cancel"), span, None, 10).ids == [item]


def test_order_is_left_to_workers_that_start_later_after_an_outage(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    known, unknown = make_kernel(sqlite_url), make_kernel(sqlite_url, Handlers())
    old = failed(known)
    job_id = begun(known, "rerun")
    sweep_for(unknown, 3500)
    assert step(worker(unknown), job_id) is not None
    assert job(known, job_id).last_error == "left to a process that knows the orders' tag"
    known.clock.shift(3)
    stepped(known, job_id)
    assert set(reruns(known)) == {old}


def test_order_whose_tag_no_worker_knows_is_left_with_the_reason(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    unknown = make_kernel(sqlite_url, Handlers())
    old = failed(unknown)
    sweep_for(unknown, 3700)
    job_id = begun(unknown, "rerun")
    stepped(unknown, job_id)
    with unknown.read_session() as session:
        (left,) = left_of(session, job_id)
    assert (left.item_id, left.code) == (old, "invalid_order")
