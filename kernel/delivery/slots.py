"""How many of a dispatcher's sender threads each origin may hold, so that none takes them all.

Pure: no I/O, no clock of its own; times are monotonic seconds. An origin is scheme://host:port.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from kernel.delivery.breakers import Breakers, BreakerState, CircuitBreaker


@dataclass(slots=True)
class _Origin:
    in_use: int = 0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)


class SenderSlots:
    """The slots of a dispatcher, one per sender thread, and a circuit breaker for each origin.

    An origin may hold half of the slots that the others leave free, so there is room for a second
    origin, and for a third. An origin whose breaker is open gets none; while it is half-open, one
    at a time. Origins that hold no slot and have no failure are not remembered. Not locked: one
    thread at a time.
    """

    def __init__(self, total: int) -> None:
        self._total = self.free = total
        self._origins: dict[str, _Origin] = {}

    @property
    def in_flight(self) -> int:
        """How many slots are held."""
        return self._total - self.free

    @property
    def origins(self) -> Collection[str]:
        """The origins that hold a slot, or whose last attempt failed."""
        return self._origins.keys()

    def room(self, origin: str, now: float) -> int:
        """Return how many more slots ``origin`` may acquire at this moment."""
        known = self._origins.get(origin, _Origin())
        state = known.breaker.state(now)
        if state is not BreakerState.CLOSED:
            may_probe = state is BreakerState.HALF_OPEN and known.in_use == 0
            return min(1, self.free) if may_probe else 0
        half = (self.free + known.in_use + 1) // 2
        return max(0, min(self.free, half - known.in_use))

    def acquire(self, origin: str) -> None:
        """Take a slot for an attempt that is to be made; `room` was asked before."""
        self._origins.setdefault(origin, _Origin()).in_use += 1
        self.free -= 1

    def record(self, origin: str, reason: str | None, now: float) -> None:
        """Tell the breaker how an attempt ended, before its slot is released.

        ``reason`` as it is stored, None for success.
        """
        self._origins[origin].breaker.record(reason, now)

    def release(self, origin: str) -> None:
        """Give a slot back: its attempt has ended, or will not be made."""
        known = self._origins[origin]
        known.in_use -= 1
        self.free += 1
        if known.in_use == 0 and known.breaker.failures == 0:
            del self._origins[origin]

    def breakers(self, now: float) -> Breakers:
        """Return the origins whose breakers are not closed at this moment."""
        states = {origin: one.breaker.state(now) for origin, one in self._origins.items()}
        is_open = [one for one, state in states.items() if state is BreakerState.OPEN]
        is_half_open = [one for one, state in states.items() if state is BreakerState.HALF_OPEN]
        return Breakers(is_open, is_half_open)
