"""One bad receiver harms nobody else: how much of a dispatcher each origin may take.

Pure: no I/O, no clock of its own. An origin is scheme://host:port. What is held back here stays
due in its row and loses no attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

# So many failures in a row open the breaker; answers that are merely unwelcome (4xx) do not count.
BREAK_AFTER = 5
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
HOST_FAILURES = frozenset({"dns", "connect", "tls", "timeout", "protocol", "http_5xx", "too_large"})


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
