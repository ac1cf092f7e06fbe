"""One bad receiver harms nobody else: how much of a dispatcher each origin may take.

Pure: no I/O, no clock of its own. An origin is scheme://host:port. What is held back here stays
due in its row and loses no attempt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple

# So many failures in a row open the breaker; answers that are merely unwelcome (4xx) do not count.
BREAK_AFTER = 5
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
# First attempts go first, but never all the way: an eighth of a batch is kept for retries.
RETRY_SHARE = 8
HOST_FAILURES = frozenset({"dns", "connect", "tls", "timeout", "protocol", "http_5xx", "too_large"})


class Lane(NamedTuple):
    """Deliveries that queue up behind each other: of one age, one caller, to one origin."""

    late: bool
    caller_id: int
    origin: str


class Breakers(NamedTuple):
    """The origins that get nothing for a while, and those of which the next attempt will tell."""

    broken: Sequence[str] = ()
    probing: Sequence[str] = ()


@dataclass(slots=True)
class _Origin:
    in_flight: int = 0
    failures: int = 0
    pause: float = FIRST_PAUSE_SECONDS
    open_until: float = 0.0


class Origins:
    """What a dispatcher knows of the origins it sends to. Times are monotonic seconds.

    Belongs to one thread. An origin may take half of the senders that the others leave free, so
    a second one always finds room, and a third. After `BREAK_AFTER` failures in a row its breaker
    opens: nothing for a while, then one probe at a time (half-open) until one succeeds.
    """

    def __init__(self, senders: int) -> None:
        self.free = self._senders = senders
        self._origins: dict[str, _Origin] = {}

    @property
    def in_flight(self) -> int:
        """How many attempts are under way."""
        return self._senders - self.free

    def room(self, origin: str, now: float) -> int:
        """Return how many more attempts may go to ``origin`` at this moment."""
        known = self._origins.get(origin)
        if known is None:
            return (self.free + 1) // 2
        if known.failures >= BREAK_AFTER:
            probing = known.in_flight > 0 or now < known.open_until
            return 0 if probing else min(1, self.free)
        return max(0, min(self.free, (self.free + known.in_flight + 1) // 2 - known.in_flight))

    def begin(self, origin: str) -> None:
        """Count an attempt that is about to be made."""
        self._origins.setdefault(origin, _Origin()).in_flight += 1
        self.free -= 1

    def end(self, origin: str, reason: str | None, now: float) -> None:
        """Count an attempt that has ended; ``reason`` as it was recorded, None for success."""
        known = self._origins[origin]
        known.in_flight -= 1
        self.free += 1
        if reason in HOST_FAILURES:
            self._fail(known, now)
        else:
            known.failures, known.pause = 0, FIRST_PAUSE_SECONDS
        if known.in_flight == 0 and known.failures == 0:
            del self._origins[origin]

    def withdraw(self, origin: str) -> None:
        """Take `begin` back: there will be no attempt."""
        known = self._origins[origin]
        known.in_flight -= 1
        self.free += 1
        if known.in_flight == 0 and known.failures == 0:
            del self._origins[origin]

    def is_open(self, origin: str, now: float) -> bool:
        """Tell whether the breaker holds deliveries back now."""
        known = self._origins.get(origin)
        return known is not None and known.failures >= BREAK_AFTER and now < known.open_until

    def broken(self, now: float) -> list[str]:
        """Return the origins whose breakers hold deliveries back now."""
        return [origin for origin in self._origins if self.is_open(origin, now)]

    def probing(self, now: float) -> list[str]:
        """Return the origins whose breakers are half-open: the next attempt will tell."""
        failing = (origin for origin, one in self._origins.items() if one.failures >= BREAK_AFTER)
        return [origin for origin in failing if not self.is_open(origin, now)]

    def _fail(self, known: _Origin, now: float) -> None:
        known.failures += 1
        if known.failures < BREAK_AFTER or now < known.open_until:
            return
        known.open_until = now + known.pause
        known.pause = min(LONGEST_PAUSE_SECONDS, known.pause * 2)


@dataclass(frozen=True, slots=True)
class Pauses:
    """What people have paused: hosts, and callers."""

    hosts: frozenset[str] = frozenset()
    callers: frozenset[int] = frozenset()

    def hold(self, caller_id: int, origin: str) -> bool:
        """Tell whether nothing of this caller may go to ``origin``."""
        return caller_id in self.callers or bool(self.hosts & hosts_of(origin))


def hosts_of(origin: str) -> set[str]:
    """Return what a person may call the host of an origin: its name, and name:port."""
    authority = origin.partition("://")[2]
    return {authority, authority.rpartition(":")[0]}


def in_turn(lanes: Iterable[Lane]) -> list[Lane]:
    """Order lanes: first attempts before retries, and in each of the two the callers in turn."""
    ordered: list[Lane] = []
    lanes = list(lanes)
    for late in (False, True):
        by_caller: dict[int, list[Lane]] = {}
        for lane in lanes:
            if lane.late == late:
                by_caller.setdefault(lane.caller_id, []).append(lane)
        turns = chain.from_iterable(zip_longest(*by_caller.values()))
        ordered += [lane for lane in turns if lane is not None]
    return ordered


def share(lanes: Iterable[Lane], origins: Origins, limit: int, now: float) -> dict[Lane, int]:
    """Decide how many deliveries to claim from each lane, ``limit`` together, as room allows."""
    ordered = in_turn(lanes)
    first = [lane for lane in ordered if not lane.late]
    retries = ordered[len(first) :]
    limit = min(limit, origins.free)
    kept = min(limit, max(1, limit // RETRY_SHARE)) if retries else 0
    room = {lane.origin: origins.room(lane.origin, now) for lane in ordered}
    shares = _deal(first, limit - kept, room)
    return shares | _deal(retries, limit - sum(shares.values()), room)


def _deal(lanes: Sequence[Lane], count: int, room: dict[str, int]) -> dict[Lane, int]:
    """Deal ``count`` evenly to lanes; what one cannot take goes to the next. Uses up ``room``."""
    shares: dict[Lane, int] = {}
    for position, lane in enumerate(lanes):
        fair = -(-count // (len(lanes) - position))
        if (taken := min(fair, room[lane.origin])) > 0:
            shares[lane] = taken
            room[lane.origin] -= taken
            count -= taken
    return shares
