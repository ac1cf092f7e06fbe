"""The memory that a worker's processes share: moments, and places."""

import os
import time

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kernel.worker.pool.vitals import Life, Place, Seat, Vitals


def seated(vitals: Vitals, runner: str = "one", pid: int = 7) -> Place:
    """Have a process take a place."""
    seat = vitals.reserve()
    assert seat is not None
    vitals.occupy(seat, Life(pid, 99), runner)
    return Place(seat.number, seat.turn, Life(pid, 99), runner)


def test_vitals_are_shared_when_a_process_forks() -> None:
    vitals = Vitals()
    seat = vitals.reserve()
    assert seat is not None
    if (child := os.fork()) == 0:
        vitals.received()
        vitals.stopping()
        vitals.occupy(seat, Life(os.getpid(), 5), "a" * 24)
        os._exit(0)
    os.waitpid(child, 0)
    assert 0 < vitals.received_at <= vitals.stopping_at <= time.monotonic()
    assert vitals.occupied() == [Place(*seat, Life(child, 5), "a" * 24)]


def test_place_is_handed_back_when_its_process_is_gone_and_never_before() -> None:
    vitals = Vitals(places=2)
    place = seated(vitals)
    assert (vitals.occupied(), vitals.cleared()) == ([place], [])
    vitals.clear(place)
    assert (vitals.occupied(), vitals.cleared()) == ([place], [place])
    vitals.free(place)
    assert (vitals.occupied(), vitals.cleared()) == ([], [])


def test_there_is_no_place_when_all_are_taken() -> None:
    vitals = Vitals(places=2)
    first, second = seated(vitals), vitals.reserve()
    assert second is not None
    assert vitals.reserve() is None
    vitals.free(second)
    assert vitals.reserve() == Seat(1, 2)
    vitals.clear(first)
    assert vitals.reserve() is None, "it was not handed back yet"


def test_late_word_about_a_process_says_nothing_about_its_successor() -> None:
    vitals = Vitals(places=1)
    before = seated(vitals)
    vitals.clear(before)
    vitals.free(before)
    after = seated(vitals, "two")
    vitals.clear(before)
    vitals.free(before)
    assert (vitals.occupied(), vitals.cleared()) == ([after], [])
    assert vitals.reserve() is None


class Places(RuleBasedStateMachine):
    """Three places, against a dictionary: processes come, die and are handed back."""

    def __init__(self) -> None:
        super().__init__()
        self.vitals = Vitals(places=3)
        self.known: dict[str, tuple[Place, bool]] = {}
        self.count = 0

    @rule()
    def come(self) -> None:
        """A process takes a place if one is free."""
        self.count += 1
        seat, runner = self.vitals.reserve(), str(self.count)
        assert (seat is None) == (len(self.known) == 3)
        if seat is not None:
            self.vitals.occupy(seat, Life(self.count, 1), runner)
            self.known[runner] = (Place(*seat, Life(self.count, 1), runner), False)

    @rule(which=st.integers(0, 2))
    def die(self, which: int) -> None:
        """A process dies, and its place is cleared."""
        if runner := next(iter([*self.known][which:]), None):
            place, _ = self.known[runner]
            self.vitals.clear(place)
            self.known[runner] = (place, True)

    @rule(which=st.integers(0, 2), times=st.integers(1, 2))
    def hand_back(self, which: int, times: int) -> None:
        """What was cleared is handed back, by two processes perhaps."""
        if runner := next(iter([one for one in self.known if self.known[one][1]][which:]), None):
            place, _ = self.known.pop(runner)
            for _ in range(times):
                self.vitals.free(place)

    @invariant()
    def places_tell_what_happened(self) -> None:
        """Every process that was not handed back stands in one place."""
        assert sorted(self.vitals.occupied()) == sorted(place for place, _ in self.known.values())
        cleared = sorted(place for place, gone in self.known.values() if gone)
        assert sorted(self.vitals.cleared()) == cleared


TestPlaces = Places.TestCase
