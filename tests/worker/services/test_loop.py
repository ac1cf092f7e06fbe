"""The loop: turns at their time, failures that stay alone, an end in good order."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pymysql
import pytest
from sqlalchemy.exc import OperationalError

from kernel.worker.services.health import Health
from kernel.worker.services.loop import Loop, Pace
from kernel.worker.services.service import AT_ONCE, Service
from tests.support.waiting import wait_until

OUTAGE = OperationalError("", {}, pymysql.err.OperationalError(2013, ""))


class Counted(Service):
    """A service that counts its turns, and fails as often as it is told to."""

    def __init__(self, name: str = "one", due_at: float = 0.0, *, lasts: bool = False) -> None:
        self.name = name
        self.lasts = lasts
        self.next_at = due_at
        self.asked = self.turns = 0
        self.errors: list[Exception] = []
        self.left = False
        self.then: Callable[[], None] = lambda: None

    @property
    def due_at(self) -> float:
        self.asked += 1
        return self.next_at

    def run(self) -> None:
        self.turns += 1
        self.then()
        if self.errors:
            raise self.errors.pop(0)

    def leave(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.left = True


@contextmanager
def looping(*services: Service, pace: Pace | None = None) -> Iterator[Loop]:
    """Run a loop over these in the background, stopped at the end."""
    loop = Loop(Health(), pace or Pace(), services)
    thread = threading.Thread(target=loop.run, args=(lambda: True,))
    thread.start()
    try:
        yield loop
    finally:
        loop.stop()
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("error", [OUTAGE, ZeroDivisionError()], ids=["outage", "bug"])
@pytest.mark.parametrize("failing", range(3))
def test_other_services_have_their_turns_when_one_fails(failing: int, error: Exception) -> None:
    services = [Counted(str(number)) for number in range(3)]
    services[failing].errors = [error]
    loop = Loop(Health(), Pace(retry_seconds=3600), services)
    loop.round()
    assert [one.turns for one in services] == [1, 1, 1]
    loop.round()
    assert [one.turns for one in services] == [1 if n == failing else 2 for n in range(3)]


def test_service_has_its_next_turn_after_a_while_when_it_failed() -> None:
    service = Counted()
    service.errors = [OUTAGE, OUTAGE]
    loop = Loop(Health(), Pace(retry_seconds=0.2, round_seconds=0.0), [service])
    loop.round()
    loop.round()
    assert service.turns == 1
    wait_until(lambda: loop.round() or service.turns > 3, 10)


def test_loop_ends_no_turn_early_and_asks_rarely_when_nothing_is_due() -> None:
    service = Counted(due_at=math.inf)
    with looping(service, pace=Pace(idle_seconds=0.1)):
        threading.Event().wait(0.5)
    assert service.turns == 0
    assert service.asked < 20, "it does not spin"


def test_loop_has_no_pause_when_a_service_is_due_at_once() -> None:
    service = Counted(due_at=AT_ONCE)
    with looping(service, pace=Pace(idle_seconds=3600, round_seconds=3600)) as loop:
        service.then = loop.wake  # a service that is due later would be waited for
        before = service.turns
        wait_until(lambda: service.turns > before + 100)


def test_loop_begins_a_round_when_it_is_woken() -> None:
    service = Counted(due_at=math.inf)
    with looping(service, pace=Pace(idle_seconds=3600)) as loop:
        wait_until(lambda: service.asked > 1)
        service.next_at = 0.0
        loop.wake()
        wait_until(lambda: service.turns > 0)
        service.next_at = math.inf


def test_only_what_lasts_has_turns_when_the_loop_stops() -> None:
    services = [Counted(lasts=True), Counted()]
    loop = Loop(Health(), Pace(), services)
    loop.stop()
    loop.round()
    assert [one.turns for one in services] == [1, 0]


def test_every_service_leaves_when_another_fails_to() -> None:
    services = [Counted(due_at=math.inf), Counted(due_at=math.inf)]
    services[0].errors = [OUTAGE]
    with looping(*services):
        assert not services[1].left
    assert [one.left for one in services] == [False, True]
