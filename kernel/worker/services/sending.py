"""T4 and the attempts: claims due deliveries and has them sent by a bounded pool of threads."""

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from kernel.delivery.attempt import attempt
from kernel.delivery.claim import DueDelivery, claim_due, due_lanes
from kernel.delivery.first_attempt import Desk
from kernel.delivery.slots import SenderSlots
from kernel.runtime.kernel import Kernel
from kernel.worker.services.recorder import Recorder
from kernel.worker.services.service import AT_ONCE, Service

log = logging.getLogger(__name__)


class Sending(Service):
    """Claims what ``threads`` senders have room for, and hands finished attempts to ``recorder``.

    It looks for due deliveries when this process has committed an outcome, when a sender that
    others wait for is free, and every ``seconds``: another process may have died. ``batch``: how
    many deliveries one transaction claims. Use it as a context: leaving it waits for the senders.
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
        self.desk = Desk(
            kernel, SenderSlots(threads), lambda due: self._senders.submit(self._send, due)
        )
        self._unclaimed = threading.Event()  # something may be due that no process has claimed
        self._closed = threading.Event()
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
        if self.desk.is_full:
            return math.inf
        if self._more:
            return AT_ONCE
        return 0.0 if self._unclaimed.is_set() else self._look_at

    def wake(self) -> None:
        """Look soon: an outcome was committed, so its delivery is due. For any thread."""
        self._unclaimed.set()
        self._wake()

    def close(self) -> None:
        """Begin no further attempt; those under way go on. For any thread."""
        self._closed.set()
        self.desk.close()

    def run(self) -> None:
        """T4: claim what there is room for and have it sent. Raises database errors."""
        self._unclaimed.clear()
        self._more = False
        self._look_at = time.monotonic() + self._seconds
        lanes = due_lanes(self._kernel)
        shares = self.desk.share(lanes, self._batch)
        found = claim_due(self._kernel, shares, self.desk.ahead())
        if self.desk.claimed(lanes, shares, found):
            self._more = True  # a lane may hold more than was claimed
            self._unclaimed.set()

    def _send(self, due: DueDelivery) -> None:
        reason: str | None = "protocol"
        try:
            finished = attempt(self._kernel, due)
            self._recorder.put(finished)
            reason = finished.reason
        except Exception:  # a bug of ours: the claim runs out and the delivery is due again
            log.exception("sending failed", extra={"delivery_id": due.id})
        if self.desk.end(due.origin, reason):
            self._unclaimed.set()
        if self._unclaimed.is_set() or self._closed.is_set():
            self._wake()
