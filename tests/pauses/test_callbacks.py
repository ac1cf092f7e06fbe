"""A receiver's callbacks are held by its URL; those of its neighbours at the same origin go on."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from kernel.callers.audit import search
from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.callers.audit.search import ActFilter
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.receivers import RECEIVERS
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.pauses import release_unpaused
from kernel.delivery.redeliver import make_due
from kernel.errors import NotFound
from kernel.pauses.changes import end_pauses, pause, resume
from kernel.pauses.listing import holding_callback, list_pauses
from kernel.pauses.subjects import Subject, subject_named
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.paused import hold_deliveries, keep_pauses
from tests.support.factories import delivery, make_delivery
from tests.support.ticketing import make_receiver

ORIGIN = "https://hooks.example:443"
ANN = By(Actor("ann", "cli"), "CHG-4711")


@pytest.fixture
def two(kernel: Kernel) -> dict[str, Subject]:
    """Two receivers at one origin."""
    ids = {one: make_receiver(kernel, one, f"https://hooks.example/{one}") for one in ("a", "b")}
    return {name: Subject(receiver_id=found) for name, found in ids.items()}


def owed(kernel: Kernel, url: str, **values: object) -> str:
    return make_delivery(kernel, origin=ORIGIN, url=url, **values)


def states(kernel: Kernel, *ids: str) -> list[str]:
    return [delivery(kernel, one).state for one in ids]


def test_callbacks_of_a_receiver_are_held_and_no_others(
    kernel: Kernel, two: dict[str, Subject]
) -> None:
    mine = [owed(kernel, "https://hooks.example/a/1"), owed(kernel, "receiver:a")]
    others = [owed(kernel, "https://hooks.example/b"), owed(kernel, "https://hooks.example/c")]
    assert pause(kernel, two["a"]).number == 2
    drain(kernel)
    assert states(kernel, *mine, *others) == ["held", "held", "delivered", "delivered"]
    assert resume(kernel, two["a"]).number == 2
    drain(kernel)
    assert states(kernel, *mine) == ["delivered", "delivered"]


def test_callbacks_that_come_later_are_held_at_their_claim(
    kernel: Kernel, two: dict[str, Subject]
) -> None:
    pause(kernel, two["a"])
    mine = [owed(kernel, "https://hooks.example/a") for _ in range(3)]
    other = owed(kernel, "https://hooks.example/b")
    shares = dict.fromkeys(due_lanes(kernel), 50)
    assert [one.id for one in claim_due(kernel, shares).deliveries] == [other]
    found = [delivery(kernel, one) for one in mine]
    assert [(one.state, one.attempt, one.tries, one.claim_token) for one in found] == [
        ("held", 0, 0, None)
    ] * 3


def test_callbacks_are_claimed_beside_a_paused_receiver_without_a_url(
    kernel: Kernel, two: dict[str, Subject]
) -> None:
    """One claim is for the callbacks of all callers. An older release has let such a row pass."""
    pause(kernel, two["a"])
    with kernel.write_session() as session:
        session.execute(update(RECEIVERS).where(RECEIVERS.c.name == "a").values(url="", origin=""))
    mine = owed(kernel, "https://hooks.example/b")
    shares = dict.fromkeys(due_lanes(kernel), 50)
    assert [one.id for one in claim_due(kernel, shares).deliveries] == [mine]


def test_retry_of_a_paused_receiver_is_held(kernel: Kernel, two: dict[str, Subject]) -> None:
    again = owed(kernel, "receiver:a", is_retry=True, tries=3, attempt=3)
    pause(kernel, two["a"])
    assert states(kernel, again) == ["held"]


def test_two_receivers_of_one_origin_are_paused_apart(
    kernel: Kernel, two: dict[str, Subject]
) -> None:
    mine = [owed(kernel, "receiver:a"), owed(kernel, "receiver:b")]
    for one in two.values():
        pause(kernel, one)
    assert states(kernel, *mine) == ["held", "held"]
    resume(kernel, two["b"])
    hold_deliveries(kernel, Swept())
    assert states(kernel, *mine) == ["held", "pending"]


def test_host_holds_what_a_receiver_lets_go(kernel: Kernel, two: dict[str, Subject]) -> None:
    mine = owed(kernel, "receiver:a")
    pause(kernel, two["a"])
    pause(kernel, Subject(host="hooks.example"))
    resume(kernel, two["a"])
    assert states(kernel, mine) == ["held"]


def test_more_callbacks_than_one_batch_are_looked_through(
    kernel: Kernel, two: dict[str, Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel.delivery.pauses.BATCH", 2)
    ids = [owed(kernel, f"https://hooks.example/{'ab'[n % 2]}") for n in range(7)]
    assert pause(kernel, two["a"]).number == 4
    assert states(kernel, *ids) == ["held", "pending"] * 3 + ["held"]
    assert resume(kernel, two["a"]).number == 4


@pytest.mark.parametrize("state", ["delivered", "dead"])
def test_callback_that_is_over_meanwhile_is_not_let_go(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """A sweep has read it as held; then a person resumes, and it is delivered, or is dropped."""
    mine, other = (owed(kernel, "https://hooks.example/a", state="held") for _ in range(2))

    def at_last(kernel: Kernel, session: Session, ids: list[str], **more: Any) -> int:
        over = {"state": state, "finished_at": kernel.clock.now(), "tries": 1}
        session.execute(update(DELIVERIES).where(DELIVERIES.c.id == mine).values(over))
        return make_due(kernel, session, ids, **more)

    monkeypatch.setattr("kernel.delivery.pauses.make_due", at_last)
    assert release_unpaused(kernel) == 1
    assert states(kernel, mine, other) == [state, "pending"]
    assert (delivery(kernel, mine).tries, delivery(kernel, mine).finished_at is None) == (1, False)


def test_pause_of_a_receiver_that_is_removed_ends(kernel: Kernel, two: dict[str, Subject]) -> None:
    mine = owed(kernel, "https://hooks.example/a")
    pause(kernel, two["a"])
    with kernel.write_session() as session:
        session.execute(delete(RECEIVERS).where(RECEIVERS.c.name == "a"))
    for job in (keep_pauses, hold_deliveries):
        job(kernel, Swept())
    assert states(kernel, mine) == ["pending"]
    with kernel.read_session() as session:
        assert list_pauses(session) == []


@pytest.mark.parametrize("subject", [Subject(host="hooks.example"), Subject(caller_id=1)])
def test_pause_of_callbacks_ends_by_itself(kernel: Kernel, subject: Subject) -> None:
    mine = owed(kernel, "https://hooks.example/a")
    pause(kernel, subject, until=kernel.clock.now() + timedelta(minutes=30), by=ANN)
    assert end_pauses(kernel) == 0
    kernel.clock.shift(1801)
    assert end_pauses(kernel) == 1
    release_unpaused(kernel)
    assert states(kernel, mine) == ["pending"]
    with kernel.read() as connection:
        ended, begun = search.find(connection, ActFilter())
    assert (begun["verb"], begun["actor"], begun["reason"]) == (
        "deliveries.pause",
        "ann",
        "CHG-4711",
    )
    assert (ended["verb"], ended["target"]) == ("deliveries.resume", begun["target"])


def test_later_word_gives_a_pause_another_end_and_keeps_its_beginning(kernel: Kernel) -> None:
    subject, soon = Subject(host="hooks.example"), kernel.clock.now() + timedelta(hours=1)
    pause(kernel, subject, until=soon, by=ANN)
    with kernel.read_session() as session:
        (first,) = list_pauses(session)
    assert (first.until, first.by_whom, first.why) == (soon, "ann", "CHG-4711")
    pause(kernel, subject, until=soon, by=ANN)  # a repeat, which is no act
    pause(kernel, subject, by=By(Actor("bob", "cli")))
    with kernel.read_session() as session:
        (second,) = list_pauses(session)
    assert (second.id, second.since) == (first.id, first.since)
    assert (second.until, second.by_whom, second.why) == (None, "bob", None)
    with kernel.read() as connection:
        assert len(search.find(connection, ActFilter())) == 2


def test_pause_of_drafts_gets_no_end(kernel: Kernel) -> None:
    row = {"caller_id": 1, "created_at": kernel.clock.now(), "reason": "adopt"}
    with kernel.write_session() as session:
        session.execute(PAUSES.insert().values(row))
    pause(kernel, Subject(caller_id=1), until=kernel.clock.now() + timedelta(hours=1), by=ANN)
    with kernel.read_session() as session:
        (found,) = list_pauses(session)
    assert (found.is_adoption, found.until) == (True, None)


def test_callback_is_told_which_pause_holds_it(kernel: Kernel, two: dict[str, Subject]) -> None:
    mine, other = owed(kernel, "receiver:a"), owed(kernel, "receiver:b")
    pause(kernel, two["a"], by=ANN)
    with kernel.read_session() as session:
        found = holding_callback(session, delivery(kernel, mine))
        assert holding_callback(session, delivery(kernel, other)) is None
        assert subject_named(session, "receiver", "anonymous/a") == two["a"]
        with pytest.raises(NotFound):
            subject_named(session, "receiver", "anonymous/c")
    assert found is not None
    assert (found.what, found.name, found.why) == ("receiver_id", "anonymous/a", "CHG-4711")
