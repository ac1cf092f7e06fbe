"""Back-pressure: a caller with too many waiting orders is told to come back later.

The rows are counted, for one caller, by one query that stops at the limit, at most every two
seconds per process; between two counts a process adds what it has accepted itself. So a submit
costs no query, and several processes together may go over the limit by a few.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.errors import TooManyPending
from kernel.runtime.kernel import Kernel

COUNT_SECONDS = 2.0
# A count that was slow is kept longer: counting takes no more than a fiftieth of the time.
COUNT_SHARE = 50
RETRY_AFTER = 5


@dataclass(slots=True)
class _Count:
    """How many orders of a caller wait, as far as this process knows."""

    waiting: int
    expires: float


class Pressure:
    """How many orders of each caller wait for a worker, as one process knows it."""

    def __init__(self, kernel: Kernel, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._clock = clock
        self._limit = kernel.settings.max_pending
        self._counts: dict[int, _Count] = {}
        self._lock = threading.Lock()

    def check(self, caller_id: int) -> None:
        """Raise TooManyPending when the caller's orders pile up."""
        if self._limit and self._waiting(caller_id) >= self._limit:
            raise TooManyPending(limit=self._limit, retry_after=RETRY_AFTER)

    def accepted(self, caller_id: int) -> None:
        """Note that one more order of the caller waits."""
        if caller_id in self._counts:
            self._counts[caller_id].waiting += 1

    def _waiting(self, caller_id: int) -> int:
        """Return the number known; count again when it is old, unless a thread does so already."""
        known = self._counts.get(caller_id)
        if known is not None and self._clock() < known.expires:
            return known.waiting
        if not self._lock.acquire(blocking=known is None):
            return 0 if known is None else known.waiting
        try:
            return self._counted(caller_id)
        finally:
            self._lock.release()

    def _counted(self, caller_id: int) -> int:
        known = self._counts.get(caller_id)
        started = self._clock()
        if known is not None and started < known.expires:  # counted while this thread waited
            return known.waiting
        waiting = (
            select(ORDERS.c.id)
            .where(ORDERS.c.caller_id == caller_id, ORDERS.c.state == OrderState.PENDING)
            .limit(self._limit)
            .subquery()
        )
        with self._kernel.read_session() as session:
            found = session.scalar(select(func.count()).select_from(waiting)) or 0
        now = self._clock()
        fresh_for = max(COUNT_SECONDS, COUNT_SHARE * (now - started))
        self._counts[caller_id] = _Count(found, now + fresh_for)
        return found
