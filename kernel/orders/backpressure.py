"""Back-pressure: a caller with too many pending orders is told to come back later.

A process counts a caller's pending rows at most every two seconds, by one query that stops at the
limit; between two counts it adds the orders that it has accepted itself. So a submit costs no
query, and several processes together may exceed the limit by a few orders.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import func, select

from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.errors import TooManyPending
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache

COUNT_SECONDS = 2.0
# A slow count is kept longer: counting takes at most a fiftieth of the time.
COUNT_SHARE = 50
RETRY_AFTER = 5


@dataclass(slots=True)
class _Count:
    """How many orders of a caller are pending, as far as this process knows."""

    pending: int


class Pressure:
    """How many orders of each caller are pending, as one process knows it."""

    def __init__(self, kernel: Kernel, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._limit = kernel.settings.max_pending
        self._counts = SingleFlightCache[_Count](COUNT_SECONDS, share=COUNT_SHARE, clock=clock)

    def check(self, caller_id: int) -> None:
        """Raise TooManyPending when the caller has as many pending orders as it may."""
        if not self._limit:
            return
        known = self._counts.get(partial(self._count, caller_id), caller_id)
        if known.pending >= self._limit:
            raise TooManyPending(limit=self._limit, retry_after=RETRY_AFTER)

    def accepted(self, caller_id: int) -> None:
        """Count one more pending order of the caller."""
        known = self._counts.known(caller_id)
        if known is not None:
            known.pending += 1

    def _count(self, caller_id: int) -> _Count:
        pending = (
            select(ORDERS.c.id)
            .where(ORDERS.c.caller_id == caller_id, ORDERS.c.state == OrderState.PENDING)
            .limit(self._limit)
            .subquery()
        )
        with self._kernel.read_session() as session:
            return _Count(session.scalar(select(func.count()).select_from(pending)) or 0)
