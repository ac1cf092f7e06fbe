"""A pause that is made while orders are claimed: each runs or waits, and none begins after it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import insert
from sqlalchemy.orm import Session

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.db.tables.operating.pauses import PAUSES
from kernel.handlers import Handlers, Run
from kernel.pauses.changes import pause, resume
from kernel.pauses.listing import list_pauses
from kernel.pauses.orders import HELD_BY_SWEEP, hold_orders, release_orders
from kernel.pauses.subjects import Subject
from kernel.runs.claim import Batch
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import drain, order
from tests.support.factories import order as stored
from tests.support.rivals import at_once

WORK = Subject(tag="work")


class Work(BaseModel):
    """No arguments."""


class Place:
    """A kernel whose handler may do something while its first order runs."""

    def __init__(self, make_kernel: Callable[..., Kernel], url: str) -> None:
        handlers = Handlers()
        handlers.register("work", Work)(self._work)
        self.kernel = make_kernel(url, handlers)
        self.rival = make_kernel(url, handlers)
        self.meanwhile: list[Callable[[], Any]] = []
        self.paused = threading.Event()
        self.began_late: list[str] = []

    def _work(self, run: Run, args: Work) -> dict[str, Any]:
        if self.paused.is_set():
            self.began_late.append(run.order_id)
        while self.meanwhile:
            self.meanwhile.pop()()
        return {}

    def order(self) -> str:
        """Submit an order."""
        return order(self.kernel, "work", callback_url=None)

    def states(self, ids: list[str]) -> list[str]:
        """Return the states of orders."""
        return [stored(self.kernel, one).state for one in ids]


@pytest.fixture
def place(make_kernel: Callable[..., Kernel], database_url: str) -> Place:
    return Place(make_kernel, database_url)


def test_order_that_was_found_before_the_pause_is_not_claimed_after_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders that were hinted together are found together, and claimed one by one."""
    ids = [place.order(), place.order()]

    def paused_by_another() -> None:
        with place.rival.write() as connection:
            now = place.rival.clock.sql()
            connection.execute(insert(PAUSES).values(tag="work", created_at=now))

    monkeypatch.setattr("kernel.runs.claim.BATCH_SECONDS", 60.0)
    with place.kernel.run_connection() as connection:
        batch = Batch(place.kernel, connection, ids)
        assert batch.claim() is not None
        paused_by_another()
        assert batch.claim() is None
    assert place.states(ids) == ["running", "pending"]


@pytest.mark.parametrize("subject", [WORK, Subject(host="in.example")])
def test_pause_begins_when_the_one_in_force_ends_before_it_is_changed(
    place: Place, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause(place.kernel, subject)
    plain, blocks = place.kernel.write_session, [0]

    @contextmanager
    def overtaken() -> Iterator[Session]:
        blocks[0] += 1
        if blocks[0] == 2:  # the first has found a pause in force
            resume(place.rival, subject)
        with plain() as session:
            yield session

    monkeypatch.setattr(place.kernel, "write_session", overtaken)
    pause(place.kernel, subject, by=By(Actor("ann", "cli"), "CHG-4711"))
    with place.rival.read_session() as session:
        (found,) = list_pauses(session)
    assert (found.by_whom, found.why) == ("ann", "CHG-4711")


def test_each_order_runs_or_waits_when_a_pause_races_claims(place: Place) -> None:
    ids = [place.order() for _ in range(20)]

    def hold() -> None:
        pause(place.rival, WORK)
        place.paused.set()

    def run() -> None:
        for one in ids:
            execute(place.kernel, one)

    at_once(hold, run)
    hold_orders(place.rival, HELD_BY_SWEEP)
    found = place.states(ids)
    assert set(found) <= {"success", "waiting"}
    # One may have been claimed before the pause was stored, and begun its handler after.
    assert len(place.began_late) <= 1
    drain(place.kernel)
    assert place.states(ids) == found
    resume(place.kernel, WORK)
    drain(place.kernel)
    assert set(place.states(ids)) == {"success"}


def test_no_order_is_left_behind_when_resumes_race_sweeps(place: Place) -> None:
    ids = [place.order() for _ in range(20)]
    for _ in range(3):
        pause(place.kernel, WORK)
        at_once(
            lambda: resume(place.kernel, WORK),
            lambda: hold_orders(place.rival, HELD_BY_SWEEP),
        )
    release_orders(place.kernel, HELD_BY_SWEEP)  # the next sweep
    drain(place.kernel)
    assert set(place.states(ids)) == {"success"}
