"""Orders to be hinted in a while: those that a handler puts off, and those left over in a batch."""

import heapq
import math
import threading
import time
from collections.abc import Callable

from kernel.runtime.hints import Hints
from kernel.worker.services.service import Service

# By how much of its time a timer is late: the database's clock may be slewed, and a hint that is
# early finds nothing to do.
LATE = 0.001


class HintTimers(Service):
    """Hints orders when their time has come. Best effort: the sweep knows the rows."""

    name = "timed hints"
    asks = False

    def __init__(self, hints: Hints, wake: Callable[[], None]) -> None:
        self._hints = hints
        self._wake = wake
        self._lock = threading.Lock()
        self._timers: list[tuple[float, str]] = []

    @property
    def due_at(self) -> float:
        """When the next order is to be hinted."""
        with self._lock:
            return self._timers[0][0] if self._timers else math.inf

    def put(self, order_id: str, seconds: float) -> None:
        """Hint ``order_id`` in ``seconds``. For any thread."""
        with self._lock:
            heapq.heappush(self._timers, (time.monotonic() + seconds * (1 + LATE), order_id))
        self._wake()

    def run(self) -> None:
        """Hint the orders whose time has come."""
        due: list[str] = []
        with self._lock:
            while self._timers and self._timers[0][0] <= time.monotonic():
                due.append(heapq.heappop(self._timers)[1])
        if due:
            self._hints.hint(due)
