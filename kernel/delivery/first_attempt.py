"""A process sends the first attempt of a callback that it has just committed, without a claim.

T3 inserts the row as claimed, so it costs neither T4 nor a look for due rows. A callback that has
to wait is inserted as due, and any dispatcher claims it. A process that dies in between leaves a
delivery that is due again when its claim runs out, like any other claim.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from kernel.callers.matching import NAMED
from kernel.callers.profile import CallbackProfile, profiles_of
from kernel.db.errors import DATABASE_ERRORS
from kernel.db.states import Claim
from kernel.db.tables.deliveries import OutboxRow
from kernel.db.tables.orders import NO_CALLBACK, OrderSnapshot
from kernel.delivery.breakers import Breakers, Target
from kernel.delivery.claim import ClaimedDeliveries, DueDelivery, claim_length
from kernel.delivery.lanes import Lane, share
from kernel.delivery.pauses import Pauses, paused
from kernel.delivery.slots import SenderSlots
from kernel.runtime.kernel import Kernel
from kernel.transport.addresses import origin_of

log = logging.getLogger(__name__)

# What a person changes (a pause, a header, a secret) is in force within this time.
KNOWN_SECONDS = 1.0
# For this long after another dispatcher claimed the same deliveries, a dispatcher looks up to AHEAD
# batches ahead: two that claim at the same moments would see the same first rows again and again.
RIVAL_SECONDS, AHEAD = 10.0, 4


@dataclass(slots=True)
class _Known:
    """What was read of pauses and callers, and until when (monotonic) it is believed."""

    until: float
    pauses: Pauses
    profiles: dict[int, CallbackProfile] = field(default_factory=dict)


class Desk:
    """What a dispatcher's thread and the threads that run handlers share: who sends where."""

    def __init__(
        self, kernel: Kernel, slots: SenderSlots, send: Callable[[DueDelivery], object]
    ) -> None:
        self.kernel = kernel
        self.slots = slots
        self.send = send
        self._lock = threading.Lock()
        self._closed = True
        # Targets whose callbacks wait for room: a new one queues up behind them.
        self._waiting: frozenset[Target] = frozenset()
        self._known = _Known(0.0, Pauses())
        self._rivals_until = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether no attempt is under way, or about to be."""
        return self.slots.in_flight == 0

    @property
    def is_full(self) -> bool:
        """Whether every sender thread has something to do."""
        return self.slots.free <= 0

    def open(self) -> None:
        """Begin to take callbacks from runs."""
        self._closed = False

    def close(self) -> None:
        """Take no more."""
        with self._lock:
            self._closed = True

    def acquire(self, target: Target) -> bool:
        """Keep a sender free for ``target``; False when there is no room, or others wait."""
        with self._lock:
            if self._closed or target in self._waiting:
                return False
            if self.slots.room(target, time.monotonic()) <= 0:
                return False
            self.slots.acquire(target)
            return True

    def claim(self, origin: str, profile: CallbackProfile) -> Claim:
        """Return a claim of a first attempt that goes to ``origin`` as ``profile`` says.

        Their token is one, the id of this process: no delivery has two first attempts, and one
        UPDATE ends many.
        """
        lasts = claim_length(self.kernel)
        return Claim(self.kernel.runner, lasts, origin, profile.shapes_until)

    def release(self, target: Target) -> bool:
        """Release a slot whose attempt is not made, or counts nothing; True when others wait."""
        with self._lock:
            self.slots.release(target)
            return bool(self._waiting)

    def share(self, lanes: Iterable[Lane], limit: int) -> dict[Lane, int]:
        """Decide how many deliveries to claim from each lane, ``limit`` together."""
        with self._lock:
            return share(lanes, self.slots, limit, time.monotonic())

    def claimed(
        self, lanes: Iterable[Lane], shares: Mapping[Lane, int], found: ClaimedDeliveries
    ) -> bool:
        """Count what was claimed, and send it; True when another look may find more to claim.

        A target where as much was seen due as it had a share of, may have more waiting.
        """
        with self._lock:
            for due in found.deliveries:
                self.slots.acquire(due.target)
            left = Counter({lane.target: 0 for lane in lanes})
            for lane, count in shares.items():
                left[lane.target] += count
            left.subtract(found.seen)
            if len(found.deliveries) < found.seen.total():
                self._rivals_until = time.monotonic() + RIVAL_SECONDS
            self._waiting = frozenset(target for target, count in left.items() if count <= 0)
        for due in found.deliveries:
            self.hand_over(due)
        return any(left[lane.target] <= 0 for lane in shares)

    def hand_over(self, due: DueDelivery) -> None:
        """Have a claimed delivery sent, for which a slot is held.

        When that fails, the slot is free again and the delivery is due when its claim runs out.
        """
        try:
            self.send(due)
        except Exception:
            log.exception("callback not handed over", extra={"delivery_id": due.id})
            self.release(due.target)

    def ahead(self) -> int:
        """Return how many batches to look ahead, for `claim_due`: one without a rival."""
        has_rivals = time.monotonic() < self._rivals_until
        return random.randint(1, AHEAD) if has_rivals else 1  # noqa: S311 - no secret

    def breakers(self) -> Breakers:
        """Return the targets whose breakers are not closed."""
        with self._lock:
            return self.slots.breakers(time.monotonic())

    def end(self, target: Target, reason: str | None, seconds: float = 0.0) -> bool:
        """Count an attempt that has ended, and took ``seconds``; True when others wait."""
        with self._lock:
            self.slots.record(target, reason, time.monotonic(), seconds)
            self.slots.release(target)
            return bool(self._waiting)

    def first_attempts(self) -> "FirstAttempts":
        """Return what one thread of runs needs to send callbacks itself, one after another."""
        return FirstAttempts(self)

    def learn(self, caller_id: int) -> None:
        """Read the pauses and the caller's profile, if what is known will soon be too old.

        Called before a run's transaction begins, so that its end asks no second connection. What
        cannot be read now stays unknown, and the callback is left to a claim.
        """
        known, now = self._known, time.monotonic()
        old = now >= known.until - KNOWN_SECONDS / 2
        if not old and caller_id in known.profiles:
            return
        try:
            with self.kernel.read() as connection:
                if old:
                    known = _Known(now + KNOWN_SECONDS, paused(connection))
                known.profiles |= profiles_of(connection, {caller_id}, self.kernel.clock.now())
                self._known = known
        except DATABASE_ERRORS as error:
            log.debug("how to send for caller %d is not known: %s", caller_id, error)
        except Exception:  # of a row that cannot be read: no run is to fail by it
            log.exception("how to send for caller %d is not known", caller_id)

    def profile(self, caller_id: int, origin: str) -> CallbackProfile | None:
        """Return on whose behalf to send; None when that is paused, or not known well enough."""
        known = self._known
        if time.monotonic() >= known.until or known.pauses.hold(caller_id, origin):
            return None
        return known.profiles.get(caller_id)

    def origin_of_named(self, caller_id: int, url: str) -> str | None:
        """Return the origin of the receiver that a callback URL names, as far as it is known."""
        profile = self._known.profiles.get(caller_id)
        receiver = None if profile is None else profile.receiver_for(url)
        return None if receiver is None else receiver.origin


class FirstAttempts:
    """Sender threads, kept free until the callbacks of runs are committed, or are not.

    For the runs of one thread, one after another, or together. Without a desk every callback is
    left to a claim by a dispatcher.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        self._desk = desk
        # By the orders' ids.
        self._kept: dict[str, tuple[Target, CallbackProfile]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.release()

    def prepare(self, caller_id: int) -> None:
        """Learn what a callback of this caller needs; call it before the run's transaction."""
        if self._desk is not None:
            self._desk.learn(caller_id)

    def claim_first_attempt(self, order: OrderSnapshot) -> Claim | None:
        """Keep a sender for this order's callback; None when it has to wait for its turn."""
        self.release()
        return self._claim(order)

    def claim_together(self, orders: Sequence[OrderSnapshot]) -> list[Claim | None]:
        """Keep a sender for the callback of each; see `claim_first_attempt`."""
        self.release()
        return [self._claim(order) for order in orders]

    def _claim(self, order: OrderSnapshot) -> Claim | None:
        if self._desk is None:
            return None
        origin = self._origin(self._desk, order)
        if origin is None:
            return None
        target = Target(order.caller_id, origin)
        profile = self._desk.profile(*target)
        if profile is None or profile.is_paused(order.callback_url):
            return None
        if not self._desk.acquire(target):
            return None
        self._kept[order.id] = (target, profile)
        return self._desk.claim(origin, profile)

    def _origin(self, desk: Desk, order: OrderSnapshot) -> str | None:
        """Return where the callback goes; None for no callback or an unknown receiver's name."""
        url = order.callback_url
        if url == NO_CALLBACK:
            return None
        if url.startswith(NAMED):
            return desk.origin_of_named(order.caller_id, url)
        return origin_of(url)

    def send(self, owed: OutboxRow) -> bool:
        """Send the callback if it was committed as claimed; False when it has to be claimed."""
        if self._desk is None or owed.token is None or owed.order_id not in self._kept:
            return False
        _, profile = self._kept.pop(owed.order_id)
        given = {name: getattr(owed, name) for name in OutboxRow.__slots__}
        self._desk.hand_over(DueDelivery(**given, profile=profile))
        return True

    def release(self, order_id: str | None = None) -> None:
        """Give the sender back that is kept for an order, or all: there is no callback."""
        for one in [order_id] if order_id is not None else list(self._kept):
            kept = self._kept.pop(one, None)
            if self._desk is not None and kept is not None:
                self._desk.release(kept[0])
