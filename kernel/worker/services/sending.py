"""T4 and the attempts: claims due deliveries and has them sent by a bounded pool of threads."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from kernel.config.logging import binding
from kernel.delivery.attempt import attempt, interrupted, put_off
from kernel.delivery.claim import (
    LEASE_MARGIN_SECONDS,
    DueDelivery,
    claim_due,
    claim_length,
    due_lanes,
)
from kernel.delivery.first_attempt import Desk
from kernel.delivery.outgoing.memory import memory_of
from kernel.delivery.slots import SenderSlots
from kernel.runtime.kernel import Kernel
from kernel.worker.pool.vitals import Moment
from kernel.worker.services.recorder import Recorder
from kernel.worker.services.service import AT_ONCE, Service

log = logging.getLogger(__name__)


# A claimed delivery waits this long for a thread at the most. Half of what a claim has beyond the
# attempt's own time: the attempt still ends, and is recorded, before the claim runs out.
WAIT_SECONDS = LEASE_MARGIN_SECONDS / 2
# A process looks this much after another of its worker could have looked and has not.
BEHIND_SECONDS = 0.05
# While the machine gives no thread, the next try comes after this.
RETRY_SECONDS = 0.2


class _Claimed(NamedTuple):
    """A claimed delivery that holds a slot and waits for a thread since a monotonic time.

    Or one that a thread sends since then.
    """

    due: DueDelivery
    since: float


class Sending(Service):
    """Claims what ``threads`` senders have room for, and hands finished attempts to ``recorder``.

    It looks for due deliveries when this process has committed an outcome, when a sender that
    others wait for is free, and every ``seconds``: another process may have died, and the API makes
    callbacks due. Of a worker's processes that is one, while it finds nothing; see ``nothing_due``.
    ``batch``: how many deliveries one transaction claims. Use it as a context: leaving it waits for
    the senders.
    """

    name = "claim of callbacks"

    def __init__(
        self,
        kernel: Kernel,
        recorder: Recorder,
        wake: Callable[[], None],
        *,
        threads: int,
        seconds: float,
        batch: int,
    ) -> None:
        self._kernel = kernel
        self._recorder = recorder
        self._wake = wake
        self._seconds = seconds
        self._batch = batch
        self._senders = ThreadPoolExecutor(threads, thread_name_prefix="sender")
        slots = SenderSlots(threads, limits=memory_of(kernel).admission)
        # Before `run` it may be set to one that the processes of a worker share.
        self.nothing_due = Moment()
        # What this process has noted there: who found nothing last is the one that looks next.
        self._noted_at = 0.0
        self.desk = Desk(kernel, slots, self._put)
        # Taken by any sender thread. What is told to the pool is only that something may be here:
        # when no thread can be started, those that there are take it, or a later one does.
        self._waiting: deque[_Claimed] = deque()
        # Attempts that a thread makes, and when each began. Who removes one has it recorded.
        self._under_way: dict[tuple[str, int], _Claimed] = {}
        self._lacks_threads = False
        self._unclaimed = threading.Event()  # something may be due that no process has claimed
        self._closed = threading.Event()
        self._rests = False
        self._look_at = 0.0
        self._more = False

    def __enter__(self) -> Self:
        self.desk.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._senders.shutdown()

    @property
    def is_idle(self) -> bool:
        """Whether no attempt is under way. Those that ended are in the recorder's hands by then."""
        return self.desk.is_idle

    @property
    def due_at(self) -> float:
        """When to look for due deliveries next; infinity while every sender is busy."""
        if self._lacks_threads:
            return self._look_at
        if self.desk.is_full or self._rests:
            return math.inf
        if self._more:
            return AT_ONCE
        return 0.0 if self._unclaimed.is_set() else self._look_at

    def wake(self) -> None:
        """Look soon: an outcome was committed, so its delivery is due. For any thread."""
        self._unclaimed.set()
        self._wake()

    def rest(self, rests: bool) -> None:
        """Begin no attempt until told otherwise; those under way go on. In the loop's thread."""
        if rests != self._rests and not self._closed.is_set():
            self._rests = rests
            self.desk.close() if rests else self.desk.open()

    def close(self) -> None:
        """Begin no further attempt; those under way go on. For any thread."""
        self._closed.set()
        self.desk.close()
        if self._lacks_threads:
            self._call_a_thread()

    def interrupt(self) -> None:
        """Have what was claimed recorded as it stands: this process ends at once."""
        self._give_up(0.0)
        for key in list(self._under_way):
            if (one := self._under_way.pop(key, None)) is not None:
                seconds = time.monotonic() - one.since
                self._recorder.put(interrupted(self._kernel, one.due, seconds))

    def run(self) -> None:
        """T4: claim what there is room for and have it sent. Raises database errors."""
        if self._has_no_need():
            return
        self._unclaimed.clear()
        self._more = False
        self._look_at = time.monotonic() + self._seconds
        if (self._lacks_threads and not self._call_threads()) or self._rests:
            return
        lanes = due_lanes(self._kernel)
        if not lanes:
            self._noted_at = self.nothing_due.note()
            return
        shares = self.desk.share(lanes, self._batch)
        patience = claim_length(self._kernel).total_seconds()
        found = claim_due(self._kernel, shares, self.desk.ahead(), patience)
        if self.desk.claimed(lanes, shares, found):
            self._more = True  # a lane may hold more than was claimed
            self._unclaimed.set()

    def _has_no_need(self) -> bool:
        """Tell whether another process has just found nothing due, and nothing is known here.

        One that left its own look to others for having found nothing itself would come when they
        do, and all would look.
        """
        noted_at = self.nothing_due.at
        looks_at = noted_at + self._seconds
        known = self._unclaimed.is_set() or self._more or self._lacks_threads
        if known or noted_at == self._noted_at or time.monotonic() >= looks_at:
            return False
        self._look_at = looks_at + BEHIND_SECONDS
        return True

    def _put(self, due: DueDelivery) -> None:
        """Have a claimed delivery sent by the next free thread. For any thread."""
        self._waiting.append(_Claimed(due, time.monotonic()))
        self._call_a_thread()

    def _call_threads(self) -> bool:
        """Try again to have a thread for each delivery that waits; True when none is lacking."""
        self._lacks_threads = False
        return all(self._call_a_thread() for _ in range(len(self._waiting)))

    def _call_a_thread(self) -> bool:
        """Have a thread look at what waits: a free one, or a new one. False: there is none."""
        try:
            self._senders.submit(self._send_waiting)
        except Exception as error:  # noqa: BLE001 - of the machine: a limit of threads, of memory
            if not self._lacks_threads:
                log.warning("no thread to send a callback: %s; trying again", error)
            self._lacks_threads = True
            self._look_at = time.monotonic() + RETRY_SECONDS
            self._give_up(0.0 if self._closed.is_set() else WAIT_SECONDS)
            self._wake()
            return False
        return True

    def _give_up(self, seconds: float) -> None:
        """Put off the deliveries that wait for longer, and give back their slots."""
        while (one := self._take()) is not None:
            if time.monotonic() - one.since < seconds:
                self._waiting.appendleft(one)
                return
            log.warning("callback put off", extra={"delivery_id": one.due.id})
            try:
                self._recorder.put(put_off(self._kernel, one.due))
            finally:
                self.desk.release(one.due.target)

    def _take(self) -> _Claimed | None:
        try:
            return self._waiting.popleft()
        except IndexError:  # another thread has taken the last
            return None

    def _send_waiting(self) -> None:
        """Send what waits, in a sender thread, until nothing does."""
        while (one := self._take()) is not None:
            self._send(one.due)

    def _send(self, due: DueDelivery) -> None:
        ended, key = None, (due.id, due.attempt)
        self._under_way[key] = _Claimed(due, time.monotonic())
        try:
            with binding(reference=due.reference):
                ended = attempt(self._kernel, due)
            if self._under_way.pop(key, None) is not None:
                self._recorder.put(ended)
        except Exception:  # a bug of ours: the claim runs out and the delivery is due again
            log.exception("sending failed", extra={"delivery_id": due.id})
        finally:
            self._under_way.pop(key, None)
            if ended is None:  # nothing is held against the receiver
                others_wait = self.desk.release(due.target)
            else:
                others_wait = self.desk.end(
                    due.target, ended.target_reason, ended.duration_ms / 1000
                )
            if others_wait:
                self._unclaimed.set()
        if self._unclaimed.is_set() or self._closed.is_set():
            self._wake()
