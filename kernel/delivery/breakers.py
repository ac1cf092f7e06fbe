"""Circuit breaker: after failures in a row an origin gets nothing for a while, then one probe.

Each caller has a breaker of its own for an origin: what fails may be a path that only it orders.

    closed ── BREAK_AFTER failures in a row ──► open ── the pause is over ──► half_open
      ▲                                           ▲                               │
      │                                           └── a failure: pause doubled ───┤
      └────────────────────────────── an attempt that reached the host ───────────┘

Pure: no I/O, no clock of its own; times are monotonic seconds. What a breaker holds back stays due
in its row and loses no attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from kernel.transport.backoff import NOT_SENT

BREAK_AFTER = 5
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
# Reasons of an attempt that tell that the host does not work. A 4xx, a redirect or an address that
# is refused tells nothing of the kind.
HOST_FAILURES = frozenset({"dns", "connect", "tls", "timeout", "protocol", "http_5xx", "too_large"})
# Reasons that tell nothing of the host at all: a bug of ours, a lack of ours, the end of a process
# of ours, and a turn that has not come.
OUR_FAILURES = NOT_SENT | {"internal", "interrupted"}
# What a target hears of a receiver's own 5xx: the host is up, and one path of it fails.
ANSWERED = "answered"


class BreakerState(StrEnum):
    """Whether attempts are made: all of them, none, or one at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Target(NamedTuple):
    """An origin (scheme://host:port) as one caller's callbacks go there."""

    caller_id: int
    origin: str

    def __str__(self) -> str:
        """Write it as it stands in ``kernel_workers``: no origin has a ``#``."""
        return f"{self.origin}#{self.caller_id}"


# Between the origin and the id of one receiver there; no origin has a path.
OF_RECEIVER = "/receiver:"


class ReceiverPath(NamedTuple):
    """One receiver of a target: its path or its login may fail while the host works."""

    target: Target
    receiver_id: int

    def __str__(self) -> str:
        """Write it as it stands in ``kernel_workers``; a release before takes it for an origin."""
        return f"{self.target.origin}{OF_RECEIVER}{self.receiver_id}#{self.target.caller_id}"


class Breakers(NamedTuple):
    """The targets and receivers whose breakers are open, and those whose are half-open."""

    open: Sequence[Target | ReceiverPath] = ()
    half_open: Sequence[Target | ReceiverPath] = ()

    def and_those(self, others: "Breakers") -> "Breakers":
        """Return these and ``others``."""
        return Breakers([*self.open, *others.open], [*self.half_open, *others.half_open])


@dataclass(slots=True)
class CircuitBreaker:
    """The breaker of one target, or one receiver, in one dispatcher. One thread at a time.

    ``opens_on``: the reasons that count. ``failures``: in a row. ``pause``: seconds that the
    breaker stays open the next time.
    """

    opens_on: frozenset[str] = HOST_FAILURES
    failures: int = 0
    pause: float = FIRST_PAUSE_SECONDS
    open_until: float = 0.0

    def state(self, now: float) -> BreakerState:
        """Return the state at this moment."""
        if self.failures < BREAK_AFTER:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.open_until else BreakerState.HALF_OPEN

    def record(self, reason: str | None, now: float) -> None:
        """Count an attempt that has ended; ``reason`` as it is stored, None for success.

        A failure of ours changes nothing. A failure of an attempt that began before the breaker
        opened does not lengthen the pause. ANSWERED closes the breaker of a host that is probed, so
        that its other receivers have their turn, and takes nothing off the count before: a path
        that fails and times out by turns holds a sender with each timeout.
        """
        if reason in OUR_FAILURES:
            return
        if reason == ANSWERED and self.state(now) is not BreakerState.HALF_OPEN:
            return
        if reason not in self.opens_on:
            self.failures, self.pause, self.open_until = 0, FIRST_PAUSE_SECONDS, 0.0
            return
        self.failures += 1
        if self.state(now) is BreakerState.HALF_OPEN:
            self.open_until = now + self.pause
            self.pause = min(LONGEST_PAUSE_SECONDS, self.pause * 2)
