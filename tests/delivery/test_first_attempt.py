"""A callback goes out from the process that committed it, unless others wait or it is paused."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, select

from kernel.db.tables.deliveries import Delivery
from kernel.delivery import first_attempt
from kernel.delivery.breakers import Target
from kernel.delivery.claim import ClaimedDeliveries, DueDelivery, claim_due, due_lanes
from kernel.delivery.first_attempt import Desk
from kernel.delivery.lanes import Lane
from kernel.orders.transitions import RunEnd
from kernel.pauses.changes import pause
from kernel.pauses.subjects import Subject
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from tests.support.factories import make_delivery, make_order
from tests.support.hints import FakeHints
from tests.support.ticketing import make_receiver

ORIGIN = "https://receiver.example:443"
THREADS = 4


@pytest.fixture
def sent() -> list[DueDelivery]:
    return []


@pytest.fixture
def desk(kernel: Kernel, sent: list[DueDelivery]) -> Iterator[Desk]:
    """The desk of a dispatcher whose thread does not run."""
    desk = Dispatcher(kernel, FakeHints(), threads=THREADS).desk
    desk.send = sent.append
    desk.open()
    yield desk
    assert desk.slots.in_flight == len(sent), "a place was not given back"


def run(desk: Desk) -> tuple[RunEnd, Delivery]:
    """Run an order; return what became of it, and its delivery."""
    order_id = make_order(desk.kernel)
    with desk.first_attempts() as first_attempts:
        end = execute(desk.kernel, order_id, first_attempts)
        assert end is not None
        assert end.owed is not None
        first_attempts.send(end.owed)
    with desk.kernel.read_session() as session:
        found = session.scalars(select(Delivery).where(Delivery.order_id == order_id)).one()
        session.expunge(found)
    return end, found


def test_callback_is_committed_as_claimed_when_there_is_room(
    desk: Desk, sent: list[DueDelivery]
) -> None:
    _, found = run(desk)
    assert [(one.id, one.token) for one in sent] == [(found.id, found.claim_token)]
    assert (found.state, found.attempt, found.tries, found.is_retry) == ("pending", 1, 1, True)
    assert found.next_attempt_at > desk.kernel.clock.now()


def test_others_are_sent_when_one_cannot_be_handed_over(
    desk: Desk, sent: list[DueDelivery], caplog: pytest.LogCaptureFixture
) -> None:
    make_delivery(desk.kernel)
    make_delivery(desk.kernel)
    first: list[DueDelivery] = []

    def send(due: DueDelivery) -> None:
        if not first:
            first.append(due)
            raise RuntimeError("can't start new thread")
        sent.append(due)

    desk.send = send
    lanes = due_lanes(desk.kernel)
    shares = desk.share(lanes, 2)
    desk.claimed(lanes, shares, claim_due(desk.kernel, shares))
    assert (len(sent), caplog.messages) == (1, ["callback not handed over"])
    assert desk.breakers() == ([], [])


def test_slot_is_given_back_when_the_callback_of_a_run_cannot_be_handed_over(desk: Desk) -> None:
    desk.send = {}.__getitem__
    _, found = run(desk)
    assert found.claim_token is not None
    assert desk.is_idle


def test_callback_is_committed_as_due_when_the_caller_is_paused(
    desk: Desk, sent: list[DueDelivery]
) -> None:
    pause(desk.kernel, Subject(caller_id=1))
    _, found = run(desk)
    assert (sent, found.claim_token, found.attempt) == ([], None, 0)
    assert found.next_attempt_at <= desk.kernel.clock.now()


def test_callback_is_committed_as_due_when_its_receiver_is_paused(
    desk: Desk, sent: list[DueDelivery]
) -> None:
    made = make_receiver(desk.kernel, "desk", "https://receiver.example/")
    pause(desk.kernel, Subject(receiver_id=made))
    _, found = run(desk)
    assert (sent, found.claim_token) == ([], None)


def test_callback_is_committed_as_due_when_the_dispatcher_stops(
    desk: Desk, sent: list[DueDelivery]
) -> None:
    desk.close()
    assert (run(desk)[1].claim_token, sent) == (None, [])


def test_callback_queues_up_when_others_to_its_origin_wait(
    desk: Desk, sent: list[DueDelivery]
) -> None:
    desk.claimed([Lane(is_retry=False, caller_id=1, origin=ORIGIN)], {}, ClaimedDeliveries())
    assert (run(desk)[1].claim_token, sent) == (None, [])


@pytest.mark.parametrize(("seen", "queues"), [(2, True), (1, False)])
def test_callback_queues_up_when_others_were_seen_that_somebody_else_claimed(
    desk: Desk, seen: int, queues: bool
) -> None:
    lane = Lane(is_retry=False, caller_id=1, origin=ORIGIN)
    assert (
        desk.claimed([lane], {lane: 2}, ClaimedDeliveries([], Counter({Target(1, ORIGIN): seen})))
        == queues
    )
    assert (run(desk)[1].claim_token is None) == queues


def test_desk_has_another_look_taken_when_one_lane_of_two_is_empty(desk: Desk) -> None:
    lanes = [
        Lane(is_retry=False, caller_id=1, origin=ORIGIN),
        Lane(False, 1, "https://other.example:443"),
    ]
    seen = Counter({Target(1, ORIGIN): 2})
    assert desk.claimed(lanes, dict.fromkeys(lanes, 2), ClaimedDeliveries([], seen))
    assert not desk.claimed(lanes, dict.fromkeys(lanes, 3), ClaimedDeliveries([], seen))
    assert not desk.claimed(lanes, {}, ClaimedDeliveries())


def test_desk_looks_ahead_for_a_while_when_somebody_else_claimed_what_it_saw(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Lane(is_retry=False, caller_id=1, origin=ORIGIN)
    desk.claimed([lane], {lane: 2}, ClaimedDeliveries())
    assert {desk.ahead() for _ in range(100)} == {1}
    desk.claimed([lane], {lane: 2}, ClaimedDeliveries([], Counter({Target(1, ORIGIN): 2})))
    assert {desk.ahead() for _ in range(100)} == {1, 2, 3, 4}
    later = time.monotonic() + 11
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert {desk.ahead() for _ in range(100)} == {1}


def test_callbacks_leave_room_for_other_origins_when_one_takes_many(
    desk: Desk, sent: list[DueDelivery]
) -> None:
    claimed = [run(desk)[1].claim_token is not None for _ in range(THREADS)]
    assert claimed == [True, True, False, False]


def test_place_is_given_back_when_nothing_was_committed(desk: Desk) -> None:
    assert desk.acquire(Target(1, ORIGIN))
    desk.release(Target(1, ORIGIN))
    assert desk.is_idle


def test_pauses_and_profile_are_read_on_one_connection_when_both_are_old(
    kernel: Kernel, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_attempt, "KNOWN_SECONDS", 3600.0)
    taken: list[Any] = []
    kernel.clock.now()  # the clock may ask as well
    event.listen(kernel.engines.single, "checkout", lambda *one: taken.append(one))
    for _ in range(2):
        desk.learn(1)
    assert len(taken) == 1
    assert desk.profile(1, ORIGIN) is not None
