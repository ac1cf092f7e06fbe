"""Back-pressure: a caller with too many pending orders is told to come back later.

Orders that wait, and those whose time has not come, have a limit of their own
(`Settings.max_waiting`); those whose time has not come are refused as well while as many orders of
the caller are pending as may be. While as many orders wait as may, no order is accepted: each may
come to wait, and then it is too late to refuse it.

A process counts a caller's pending rows at most every two seconds, by one query that stops at the
limit; between two counts it adds the orders that it has accepted itself. So a submit costs no
query, and several processes together may exceed the limit by a few orders.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ScalarSelect, Select, func, select

from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS
from kernel.errors import TooManyPending, TooManyWaiting
from kernel.orders.ends.descent import DESCENT
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache

COUNT_SECONDS = 2.0
# A slow count is kept longer: counting takes at most a fiftieth of the time.
COUNT_SHARE = 50
RETRY_AFTER = 5
# How many orders that wait are counted where their number has no limit.
MOST_COUNTED = 1_000_000
# Of an order that comes: when it opens, and its ordering key.
Coming = tuple[datetime | None, str | None]


@dataclass(slots=True)
class _Count:
    """How many orders of a caller are pending, as far as this process knows."""

    pending: int
    # Those whose time has not come, and those that wait for something else.
    waiting: int
    stopped: int


class Pressure:
    """How many orders of each caller are pending, as one process knows it."""

    def __init__(self, kernel: Kernel, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._limit = kernel.settings.max_pending
        self._most_waiting = kernel.settings.max_waiting
        self._counts = SingleFlightCache[_Count](COUNT_SECONDS, share=COUNT_SHARE, clock=clock)

    def check(self, caller_id: int, opens: datetime | None = None) -> None:
        """Raise TooManyPending when the caller has as many pending orders as it may.

        TooManyWaiting when as many orders wait; for an order that ``opens`` later, those that wait
        for their time are counted as well.
        TooManyPending too: orders that open in a moment would come to any number otherwise.
        """
        self.check_several(caller_id, [(opens, None)])

    def check_several(self, caller_id: int, coming: Sequence[Coming]) -> None:
        """Raise like `check` when not all of several orders may come, in their order.

        Of those with one ordering key the first may be pending, and each other one will wait.
        """
        later, behind = self._stopped(coming)
        if not (self._limit or self._most_waiting):
            return
        known = self._counts.get(partial(self._count, caller_id), caller_id)
        # One that opens later is refused as well while as many as may be are pending.
        if self._limit and known.pending + (len(coming) - later - behind or 1) > self._limit:
            raise TooManyPending(limit=self._limit, retry_after=RETRY_AFTER)
        waiting = known.stopped + (known.waiting + later + behind if later else behind or 1)
        if self._most_waiting and waiting > self._most_waiting:
            raise TooManyWaiting(limit=self._most_waiting, retry_after=RETRY_AFTER)

    def _stopped(self, coming: Sequence[Coming]) -> tuple[int, int]:
        """Count those of ``coming`` that open later, and those behind another one's key."""
        later, behind, keys = 0, 0, set[str]()
        for opens, key in coming:
            if self._is_later(opens):
                later += 1
            elif key in keys:
                behind += 1
            if key is not None:
                keys.add(key)
        return later, behind

    def accepted(
        self, caller_id: int, opens: datetime | None = None, *, waits: bool = False
    ) -> None:
        """Count one more order of the caller, which ``opens`` later, ``waits``, or is pending."""
        known = self._counts.known(caller_id)
        if known is None:
            return
        if self._is_later(opens):
            known.waiting += 1
        elif waits:
            known.stopped += 1
        else:
            known.pending += 1

    def _is_later(self, opens: datetime | None) -> bool:
        return opens is not None and opens > self._kernel.clock.now()

    def _count(self, caller_id: int) -> _Count:
        """Count both: those that wait for their time are pending as well, and taken away."""
        later = select(GATES.c.order_id).where(
            GATES.c.caller_id == caller_id,
            GATES.c.opens_at > self._kernel.clock.sql(),
            GATES.c.waiting_for.is_(None),
        )
        # A cancelled order whose children are to be cancelled yet has ended, and waits no longer.
        stopped = select(GATES.c.order_id).where(
            *(GATES.c.caller_id == caller_id, GATES.c.waiting_for.is_not(None)),
            GATES.c.waiting_for != DESCENT,
        )
        pending = select(ORDERS.c.id).where(
            ORDERS.c.caller_id == caller_id, ORDERS.c.state == OrderState.PENDING
        )
        most = self._most_waiting or MOST_COUNTED
        asked = select(
            _counted(later, most).label("waiting"),
            _counted(pending, self._limit + most).label("all"),
            _counted(stopped, most).label("stopped"),
        )
        with self._kernel.read_session() as session:
            waiting, every, stopped_now = session.execute(asked).one()
        return _Count(max(0, every - waiting), waiting, stopped_now)


def _counted(rows: Select[Any], limit: int) -> ScalarSelect[Any]:
    return select(func.count()).select_from(rows.limit(limit).subquery()).scalar_subquery()
