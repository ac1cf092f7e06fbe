"""Whether a receiver may be asked at this moment: its gate in this process, its rate in its row.

What is not admitted is put off until its turn. It has cost its receiver nothing and counts as no
attempt. So that few have to be put off, a dispatcher claims no more for a target than the gates of
its receivers have room for.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from kernel.callers.receivers import Receiver, origins_of
from kernel.db.errors import DATABASE_ERRORS
from kernel.delivery.breakers import Breakers, BreakerState, ReceiverPath, Target
from kernel.delivery.outgoing.gates import Gate, Pace, pace
from kernel.delivery.outgoing.rate import Turn, take_turn
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)

# Receivers and targets that are remembered, the latest used.
REMEMBERED = 10_000
# Seconds to put an attempt off when the row of its receiver's rate cannot be asked.
UNASKED_SECONDS = 1.0
# Seconds after which a target without room is looked at with one delivery: it may be for a receiver
# that was made meanwhile.
LOOK_SECONDS = 0.5


def monotonic_of(kernel: Kernel) -> Callable[[], float]:
    """Return a monotonic clock, in seconds, that a test moves with the kernel's own."""
    return lambda: time.monotonic() + kernel.clock.offset() / 1e6


@dataclass(slots=True)
class _Place:
    """The receivers of one target. ``is_mixed``: there are also callbacks that none matches."""

    receivers: tuple[int, ...] = ()
    is_mixed: bool = False
    look_at: float = 0.0


class Admission:
    """The gates of one process, for any number of threads. ``kernel`` is asked for rates."""

    def __init__(self, kernel: Kernel, remembered: int = REMEMBERED) -> None:
        self._kernel = kernel
        self._now = monotonic_of(kernel)
        self._remembered = remembered
        self._lock = threading.Lock()
        self._gates: OrderedDict[int, Gate] = OrderedDict()
        self._places: OrderedDict[Target, _Place] = OrderedDict()

    @property
    def targets(self) -> Collection[Target]:
        """The targets at which a receiver was asked for."""
        return self._places.keys()

    def enter(self, receiver: Receiver, siblings: Iterable[Receiver] = ()) -> float:
        """Begin an attempt and return 0, or return the seconds to put it off: its turn.

        ``siblings``: all receivers of the caller. An attempt that was begun is ended by `leave`.
        """
        with self._lock:
            place = self._place(receiver, siblings)
            gate = self._gate(receiver)
            pause = gate.enter(self._now())
        if pause is None and gate.pace is not None:
            pause = self._rated(receiver.id, gate)
        if pause is None:
            return 0.0
        place.look_at = self._now() + LOOK_SECONDS
        return pause

    def leave(
        self, receiver: Receiver, reason: str | None, seconds: float, hold: float = 0.0
    ) -> None:
        """End an attempt; see `Gate.leave`."""
        with self._lock:
            self._gate(receiver).leave(reason, self._now(), seconds, hold)

    def note_unmatched(self, target: Target) -> None:
        """Note that callbacks go to a target which none of its receivers matches."""
        with self._lock:
            if (place := self._places.get(target)) is not None:
                place.is_mixed = True

    def allowed(self, target: Target) -> int | None:
        """Return how many attempts a target may have under way; None for any number."""
        with self._lock:
            place, allowed, now = self._places.get(target), 0, self._now()
            if place is None or place.is_mixed:
                return None
            for receiver_id in place.receivers:
                gate = self._gates.get(receiver_id)
                room = None if gate is None else gate.room(now)
                if gate is None or room is None:
                    return None
                allowed += room + gate.in_use
            return allowed or int(now >= place.look_at)

    def breakers(self, session: Session) -> Breakers:
        """Return the receivers whose own breakers are not closed.

        Asks nothing while there are none. A receiver that was removed, or that goes to another
        origin now, is none of them: no success would ever close its breaker there.
        """
        with self._lock:
            now, states = self._now(), dict[ReceiverPath, BreakerState]()
            for target, place in self._places.items():
                for one in place.receivers:
                    state = self._gates[one].breaker.state(now) if one in self._gates else None
                    if state is not None and state is not BreakerState.CLOSED:
                        states[ReceiverPath(target, one)] = state
        if not states:
            return Breakers()
        origins = origins_of(session, {path.receiver_id for path in states})
        there = [one for one in states if origins.get(one.receiver_id) == one.target.origin]
        return Breakers(
            [one for one in there if states[one] is BreakerState.OPEN],
            [one for one in there if states[one] is BreakerState.HALF_OPEN],
        )

    def _rated(self, receiver_id: int, gate: Gate) -> float | None:
        """Ask the row for a turn; return the seconds to put off an attempt that gets none."""
        now, at = self._now(), gate.pace
        if at is None:
            return None
        begins = False
        try:
            wait, ahead = self._turn(receiver_id, at, max(0.0, gate.whole_at - now))
            begins = wait <= 0
        finally:
            if not begins:
                with self._lock:
                    gate.in_use -= 1
        with self._lock:
            gate.whole_at = max(gate.whole_at, now + ahead)
            return None if begins else gate.turn(now, at.spacing, now + wait)

    def _turn(self, receiver_id: int, at: Pace, ahead: float) -> Turn:
        """Ask the row, unless it is known that a burst is ``ahead`` by more than it may be."""
        wait = ahead - (at.burst - 1) * at.spacing
        if wait > 0:  # the moment only ever moves on, so there is no need to look again
            return Turn(wait, ahead)
        try:
            return take_turn(self._kernel, receiver_id, at)
        except DATABASE_ERRORS as error:
            log.warning("rate of a receiver not asked: %s", type(error).__name__)
            return Turn(UNASKED_SECONDS, ahead)

    def _gate(self, receiver: Receiver) -> Gate:
        gate = self._gates.setdefault(receiver.id, Gate())
        self._gates.move_to_end(receiver.id)
        gate.concurrency = receiver.terms.concurrency
        gate.pace = None if receiver.terms.rate is None else pace(receiver.terms.rate)
        if len(self._gates) > self._remembered:
            idle = (key for key, one in self._gates.items() if one.in_use == 0)
            if (oldest := next(idle, receiver.id)) != receiver.id:
                del self._gates[oldest]
        return gate

    def _place(self, receiver: Receiver, siblings: Iterable[Receiver]) -> _Place:
        target = Target(receiver.caller_id, receiver.origin)
        place = self._places.setdefault(target, _Place())
        self._places.move_to_end(target)
        here = [one for one in siblings if one.origin == receiver.origin and not one.is_draft]
        place.receivers = tuple(one.id for one in here)
        if len(self._places) > self._remembered:
            self._places.popitem(last=False)
        return place
