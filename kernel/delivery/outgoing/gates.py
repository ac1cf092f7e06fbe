"""What one receiver may be sent at a moment: pure, no I/O, no clock; times are monotonic seconds.

A gate belongs to one receiver in one dispatcher. It is shut while the receiver's path fails (a 5xx,
or no token) and while the receiver has asked for a pause, and lets as many attempts through at a
time as the receiver may have. What it does not let through is put off until its turn, one behind
the other, and loses no attempt.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from kernel.delivery.breakers import HOST_FAILURES, BreakerState, CircuitBreaker

# Reasons of an attempt that tell that the path or its login does not work, while the host does.
PATH_FAILURES = frozenset({"http_5xx", "token"})
# Reasons of an attempt that tell nothing of the path: it was not reached, or not asked at all.
_UNTOLD = (HOST_FAILURES | {"template", "refused"}) - PATH_FAILURES
# The longest pause that a receiver's 429 or 503 holds up its other deliveries, in seconds.
LONGEST_HOLD = 300.0
# Seconds after which a delivery looks again while another one probes.
PROBE_SECONDS = 2.0
# The shortest and the longest time, in seconds, that a delivery is put off for its turn.
SHORTEST_TURN, LONGEST_TURN = 0.5, 1800.0
# Seconds between the turns of deliveries to a receiver that may have any number at a time.
SPACING = 0.02
# How much the latest attempt counts in the usual duration of an attempt.
_WEIGHT = 0.2
MINUTE = 60.0
# A burst is this part of the rate: dispatchers look for due callbacks about once a second.
BURST_SHARE = 12


class Pace(NamedTuple):
    """``spacing``: seconds from one attempt to the next. ``burst``: how many may begin at once."""

    spacing: float
    burst: int


def pace(per_minute: int) -> Pace:
    """Return the pace at which at most ``per_minute`` attempts begin in any minute.

    In a window of W seconds ``burst - 1 + ceil(W / spacing)`` begin at the most.
    """
    burst = max(1, per_minute // BURST_SHARE)
    return Pace(MINUTE / (per_minute - burst + 1), burst)


@dataclass(slots=True)
class Gate:
    """``in_use``: attempts under way. ``concurrency``: how many may be; None for any number.

    ``pace``: of its rate, None without. ``whole_at``: when all of a burst may begin again, as far
    as this dispatcher knows; the others only move it on.
    """

    concurrency: int | None = None
    pace: Pace | None = None
    whole_at: float = 0.0
    in_use: int = 0
    breaker: CircuitBreaker = field(default_factory=lambda: CircuitBreaker(PATH_FAILURES))
    held_until: float = 0.0
    # When the last of those that were put off has its turn.
    last_turn: float = 0.0
    duration: float = 1.0

    def enter(self, now: float) -> float | None:
        """Begin an attempt and return None, or return the seconds to put it off."""
        pause = self._shut(now)
        if pause is None:
            self.in_use += 1
        return pause

    def leave(self, reason: str | None, now: float, seconds: float, hold: float = 0.0) -> None:
        """End an attempt that took ``seconds``; ``reason`` as it is stored, None for success.

        ``hold``: for how many seconds the receiver asked to be sent nothing. What did not reach the
        path neither opens the gate nor shuts it: it is no proof that the path works again.
        """
        self.in_use -= 1
        if reason not in _UNTOLD:
            self.breaker.record(reason, now)
        self.held_until = max(self.held_until, now + min(hold, LONGEST_HOLD))
        self.duration += _WEIGHT * (seconds - self.duration)

    def room(self, now: float) -> int | None:
        """Return how many more attempts may begin at this moment; None for any number."""
        state = self.breaker.state(now)
        if now < self.held_until or state is BreakerState.OPEN:
            return 0
        if state is BreakerState.HALF_OPEN:
            return 0 if self.in_use else 1
        limits = [] if self.concurrency is None else [max(0, self.concurrency - self.in_use)]
        if self.pace is not None:
            ahead = max(0.0, self.whole_at - now)
            limits.append(max(0, self.pace.burst - math.ceil(ahead / self.pace.spacing - 1e-9)))
        return min(limits, default=None)

    def turn(self, now: float, spacing: float, earliest: float) -> float:
        """Queue up, ``spacing`` seconds behind the last; return the seconds until the turn."""
        self.last_turn = max(self.last_turn, earliest, now) + spacing
        return min(max(self.last_turn - now, SHORTEST_TURN), LONGEST_TURN)

    def _shut(self, now: float) -> float | None:
        if now < self.held_until:
            return self.turn(now, self._spacing, self.held_until)
        state = self.breaker.state(now)
        if state is BreakerState.OPEN:
            return self.turn(now, self._spacing, self.breaker.open_until)
        if state is BreakerState.HALF_OPEN and self.in_use > 0:
            return self.turn(now, self._spacing, now + PROBE_SECONDS)
        if self.concurrency is not None and self.in_use >= self.concurrency:
            return self.turn(now, self._spacing, now)
        return None

    @property
    def _spacing(self) -> float:
        return self.duration / self.concurrency if self.concurrency else SPACING
