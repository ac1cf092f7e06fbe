"""Bulk acts on callbacks: sent again or dropped, a batch in one commit."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import update

from kernel.bulk.choosing import count
from kernel.bulk.jobs import begin, left_of
from kernel.bulk.steps import MOST_FAILURES, step
from kernel.callers.audit.acts import BY_SYSTEM
from kernel.db.ids import new_id
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.bulk import JOBS
from kernel.errors import Conflict
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.bulk import begun, job, plan, stepped, worker
from tests.support.factories import delivery, make_delivery, rows

HOUR = timedelta(hours=1)
OTHER = {"origin": "https://other.example:8443", "url": "https://other.example:8443/"}


def over(kernel: Kernel, state: str = "dead", age: timedelta = HOUR, **values: Any) -> str:
    """A callback that is over for some time."""
    then = kernel.clock.now() - age
    made = {"id": new_id(then), "state": state, "created_at": then, "finished_at": then}
    return make_delivery(kernel, **{**made, **values})


def test_dead_callbacks_alone_are_sent_again_unless_a_state_is_said(kernel: Kernel) -> None:
    dead, delivered = over(kernel), over(kernel, "delivered")
    job_id = begun(kernel, "redeliver")
    assert any(one.sends for one in stepped(kernel, job_id))
    assert (job(kernel, job_id).state, job(kernel, job_id).done) == ("done", 1)
    drain(kernel)
    assert delivery(kernel, dead).attempt == 1
    assert delivery(kernel, delivered).attempt == 0
    stepped(kernel, again := begun(kernel, "redeliver", state="delivered"))
    assert job(kernel, again).done == 2


def test_callbacks_that_die_again_meanwhile_have_had_their_turn(kernel: Kernel) -> None:
    ids = [over(kernel, age=number * HOUR) for number in range(1, 4)]
    job_id = begun(kernel, "redeliver", rate=60)
    for _ in ids:
        stepped(kernel, job_id)
        kernel.clock.shift(1.1)
        with kernel.write() as connection:
            dies = {"state": "dead", "finished_at": kernel.clock.sql()}
            pending = update(DELIVERIES).where(DELIVERIES.c.state == "pending")
            connection.execute(pending.values(dies))
    stepped(kernel, job_id)
    assert (job(kernel, job_id).state, job(kernel, job_id).done) == ("done", 3)


@pytest.mark.parametrize("asked", [{"wanted": '{"colour":"blue"}'}, {"kind": "archive"}], ids=str)
def test_act_of_a_newer_release_rests_until_a_process_of_that_is_there(
    kernel: Kernel, asked: dict[str, str]
) -> None:
    over(kernel)
    newer = begun(kernel, "redeliver")
    with kernel.write() as connection:
        connection.execute(update(JOBS).where(JOBS.c.id == newer).values(asked))
    for _ in range(MOST_FAILURES + 1):
        done = step(worker(kernel), newer)
        assert done is not None
        assert done.error is None
        kernel.clock.shift(61)
    left = job(kernel, newer)
    assert (left.state, left.failures) == ("running", 0)
    assert "the newer release" in left.last_error


def test_act_is_aborted_when_its_steps_fail_again_and_again(kernel: Kernel) -> None:
    over(kernel)
    broken, other = begun(kernel, "redeliver"), begun(kernel, "redeliver")
    with kernel.write() as connection:
        kept = update(JOBS).where(JOBS.c.id == broken).values(wanted='{"since":"1969"}')
        connection.execute(kept)
    for number in range(MOST_FAILURES):
        assert job(kernel, broken).state == "running"
        done = step(worker(kernel), broken)
        assert done is not None
        assert done.error is not None, number
        kernel.clock.shift(61)
    ended = job(kernel, broken)
    assert (ended.state, ended.ended_by, ended.claim_token) == ("aborted", "kernel", None)
    assert "'1969' is no time" in ended.last_error
    assert step(worker(kernel), broken) is None
    assert job(kernel, other).state == "running"


def test_callback_in_flight_is_left_and_told(kernel: Kernel) -> None:
    over(kernel)
    flying = over(kernel, claim_token="someone")
    job_id = begun(kernel, "redeliver")
    stepped(kernel, job_id)
    assert (job(kernel, job_id).done, job(kernel, job_id).left_out) == (1, 1)
    with kernel.read_session() as session:
        assert [(row.item_id, row.code) for row in left_of(session, job_id)] == [
            (flying, "in_flight")
        ]


@pytest.mark.parametrize("state", ["pending", "held"])
def test_dropped_callback_is_dead_and_never_sent(kernel: Kernel, state: str) -> None:
    dropped, kept = make_delivery(kernel, state=state), over(kernel)
    job_id = begun(kernel, "drop")
    stepped(kernel, job_id)
    drain(kernel)
    found = delivery(kernel, dropped)
    assert (found.state, found.died_of, found.attempt) == ("dead", "dropped", 0)
    assert found.finished_at is not None
    assert delivery(kernel, kept).died_of is None
    assert job(kernel, job_id).done == 1


def test_dropped_callback_died_when_it_was_given_up(kernel: Kernel) -> None:
    then = kernel.clock.now() - 24 * 30 * HOUR
    dead, pending = over(kernel, next_attempt_at=then), make_delivery(kernel, next_attempt_at=then)
    with kernel.write_session() as session:
        by_state = update(DELIVERIES).where(DELIVERIES.c.id == dead)
        session.execute(by_state.values(finished_at=then, died_of="gone"))
    for state in (DeliveryState.DEAD, None):
        stepped(kernel, begun(kernel, "drop", state=state))
    kept, dropped = delivery(kernel, dead), delivery(kernel, pending)
    assert (kept.died_of, kept.finished_at, kept.next_attempt_at) == ("dropped", then, then)
    assert (dropped.died_of, dropped.next_attempt_at) == ("dropped", dropped.finished_at)


def test_dropped_callback_can_be_sent_again(kernel: Kernel) -> None:
    dropped = make_delivery(kernel)
    stepped(kernel, begun(kernel, "drop"))
    stepped(kernel, begun(kernel, "redeliver"))
    drain(kernel)
    assert (delivery(kernel, dropped).state, delivery(kernel, dropped).died_of) == (
        "delivered",
        None,
    )


def test_many_callbacks_are_done_in_batches_each_once(kernel: Kernel) -> None:
    ids = [over(kernel, age=number * timedelta(seconds=1)) for number in range(1, 8)]
    job_id = begun(kernel, "redeliver", rate=180)
    for _ in range(4):
        stepped(kernel, job_id)
        kernel.clock.shift(2)
    assert (job(kernel, job_id).state, job(kernel, job_id).done) == ("done", 7)
    drain(kernel)
    assert {delivery(kernel, one).attempt for one in ids} == {1}


def test_latest_callbacks_are_taken_when_the_clock_was_set_back(kernel: Kernel) -> None:
    dead = over(kernel)
    kernel.clock.shift(-2 * 3600)
    stepped(kernel, begun(kernel, "redeliver"))
    assert delivery(kernel, dead).state == "pending"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, 2),
        ({"state": DeliveryState.DELIVERED}, 1),
        ({"host": "other.example"}, 1),
        ({"host": "other.example:8443"}, 1),
        ({"host": "other.example:443"}, 0),
        ({"host": "ther.example"}, 0),
        ({"host": "%"}, 0),
        ({"caller_id": 1}, 2),
        ({"caller_id": 2}, 0),
    ],
)
def test_callbacks_that_are_counted_are_those_that_are_sent(
    kernel: Kernel, wanted: dict[str, Any], expected: int
) -> None:
    over(kernel)
    over(kernel, **OTHER)
    over(kernel, "delivered")
    with kernel.read_session() as session:
        assert count(session, plan("redeliver", **wanted)).total == expected
    job_id = begun(kernel, "redeliver", **wanted)
    stepped(kernel, job_id)
    assert job(kernel, job_id).done == expected


def test_one_replay_of_a_caller_begins_when_two_come_at_once(kernel: Kernel) -> None:
    over(kernel)
    both = Barrier(2)

    def replay(_: int) -> str:
        both.wait(10)
        try:
            return begin(kernel, plan("redeliver"), None, BY_SYSTEM, 1)
        except Conflict as refused:
            return str(refused)

    with ThreadPoolExecutor(2) as two:
        said = sorted(two.map(replay, range(2)))
    assert said[1] == "a replay of yours is under way: wait until it has ended"
    assert [row.id for row in rows(kernel, JOBS)] == [said[0]]
