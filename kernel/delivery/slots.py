"""How many of a dispatcher's sender threads each target may hold, so that none takes them all.

A target is one caller's callbacks to one origin: neither a caller's bad path nor its slow one takes
slots or attempts from another caller of the same origin. Each target has a window, as a TCP sender
has: it holds a few slots as long as nothing is known of it, one more with each success, and half as
many after a failure. So those that are dead or slow have cost little when that is known.

Pure: no I/O, no clock of its own; times are monotonic seconds.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from kernel.delivery.breakers import (
    ANSWERED,
    HOST_FAILURES,
    OUR_FAILURES,
    Breakers,
    BreakerState,
    CircuitBreaker,
    Target,
)

# Targets that hold no slot are remembered up to this number, the latest used.
REMEMBERED = 10_000
# Slots that a target may hold of which nothing is known.
FIRST_WINDOW = 4
# A target is slow whose attempts take that many seconds; the latest counts for WEIGHT of it.
SLOW_SECONDS, WEIGHT = 0.4, 0.5
# The part of the slots that slow targets leave to the others, and the part that they hold together
# while others have something to send.
LEFT, BESIDE = 4, 8


class Limits(Protocol):
    """What else says how many attempts a target may have under way: its receivers."""

    @property
    def targets(self) -> Collection[Target]:
        """The targets of which `allowed` knows something."""

    def allowed(self, target: Target) -> int | None:
        """Return how many attempts may be under way at this moment; None for any number."""


@dataclass(slots=True)
class _Known:
    """``seconds``: what an attempt takes, the later ones counting more.

    ``window``: how many slots the target may hold, as far as its own attempts go.
    """

    window: int
    in_use: int = 0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    seconds: float = 0.0

    @property
    def is_slow(self) -> bool:
        return self.seconds >= SLOW_SECONDS


class SenderSlots:
    """The slots of a dispatcher, one per sender thread, and a circuit breaker for each target.

    A target may hold half of the slots that the others leave free, so there is room for a second
    target, and for a third, and no more than its window. A target whose breaker is open gets none;
    while it is half-open, one at a time. Slow targets leave a quarter of all slots to those that
    are not. ``window``: what a target has of which nothing is known. Of the targets that hold no
    slot the ``remembered`` used latest are remembered. Not locked: one thread at a time.
    """

    def __init__(
        self,
        total: int,
        remembered: int = REMEMBERED,
        limits: Limits | None = None,
        window: int = FIRST_WINDOW,
    ) -> None:
        self._limits = limits
        self._total = self.free = total
        # How many slots are held by slow targets.
        self._slow = 0
        self._remembered, self._window = remembered, window
        # In the order of their last use.
        self._targets: OrderedDict[Target, _Known] = OrderedDict()

    @property
    def in_flight(self) -> int:
        """How many slots are held."""
        return self._total - self.free

    @property
    def targets(self) -> Collection[Target]:
        """The targets that hold a slot, or of which something is known."""
        return self._targets.keys()

    def room(self, target: Target, now: float) -> int:
        """Return how many more slots ``target`` may acquire at this moment."""
        known = self._targets.get(target) or _Known(self._window)
        state = known.breaker.state(now)
        if state is not BreakerState.CLOSED:
            may_probe = state is BreakerState.HALF_OPEN and known.in_use == 0
            return min(1, self.free) if may_probe else 0
        allowed = min(known.window, (self.free + known.in_use + 1) // 2)
        if self._limits is not None and target in self._limits.targets:
            limit = self._limits.allowed(target)
            allowed = allowed if limit is None else min(allowed, limit)
        room = max(0, min(self.free, allowed - known.in_use))
        if known.is_slow:
            room = min(room, max(0, self._total - self._total // LEFT - self._slow))
        return room

    def is_slow(self, target: Target) -> bool:
        """Tell whether the attempts of ``target`` take long."""
        known = self._targets.get(target)
        return known is not None and known.is_slow

    @property
    def room_beside_others(self) -> int:
        """How many more slots slow targets may hold while others have something to send."""
        return max(0, self._total // BESIDE - self._slow)

    def acquire(self, target: Target) -> None:
        """Take a slot for an attempt that is to be made; `room` was asked before."""
        known = self._targets.setdefault(target, _Known(self._window))
        known.in_use += 1
        self._slow += known.is_slow
        self._targets.move_to_end(target)
        self.free -= 1

    def record(self, target: Target, reason: str | None, now: float, seconds: float = 0.0) -> None:
        """Learn how an attempt ended, before its slot is released.

        ``reason`` as it is stored, None for success. ``seconds``: what it took.
        """
        known = self._targets[target]
        known.breaker.record(reason, now)
        if reason in OUR_FAILURES:
            return
        if reason in (None, ANSWERED):
            known.window = min(self._total, known.window + 1)
        elif reason in HOST_FAILURES:
            known.window = max(1, known.window // 2)
        was_slow = known.is_slow
        known.seconds += WEIGHT * (seconds - known.seconds)
        self._slow += (known.is_slow - was_slow) * known.in_use

    def release(self, target: Target) -> None:
        """Give a slot back: its attempt has ended, or will not be made."""
        known = self._targets[target]
        known.in_use -= 1
        self._slow -= known.is_slow
        self.free += 1
        if len(self._targets) - self.in_flight > self._remembered:
            self._forget_one()

    def breakers(self, now: float) -> Breakers:
        """Return the targets whose breakers are not closed at this moment."""
        states = {target: one.breaker.state(now) for target, one in self._targets.items()}
        is_open = [one for one, state in states.items() if state is BreakerState.OPEN]
        is_half_open = [one for one, state in states.items() if state is BreakerState.HALF_OPEN]
        return Breakers(is_open, is_half_open)

    def _forget_one(self) -> None:
        """Forget what is known of the target that was used least recently and holds no slot."""
        idle = (target for target, known in self._targets.items() if known.in_use == 0)
        if (oldest := next(idle, None)) is not None:
            del self._targets[oldest]
