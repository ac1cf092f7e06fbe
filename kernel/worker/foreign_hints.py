"""Hints of orders that have no row here: who else writes into this installation's queue?

A copy of the database that uses the same broker does, or a stranger who forges them. They cost
nothing but their reading; hints of ours that another reads instead wait for the sweep.
"""

import logging
import time
from collections.abc import Callable, Sequence

from sqlalchemy import select

from kernel.db.errors import DATABASE_ERRORS
from kernel.db.tables.orders import ORDERS
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import FOREIGN_HINTS

log = logging.getLogger(__name__)

# A hint that is not claimed is usual: it came twice, or its order was taken from the rows. So they
# are looked at from time to time only.
LOOK_SECONDS = 10.0


class ForeignHints:
    """Counts them, and warns, from samples. ``clock``: monotonic seconds."""

    def __init__(self, kernel: Kernel, clock: Callable[[], float] = time.monotonic) -> None:
        self._kernel = kernel
        self._clock = clock
        self._looked_at = -LOOK_SECONDS

    def look(self, unclaimed: Sequence[str]) -> None:
        """Look for the rows of hints that could not be claimed, if it is time to look again."""
        now = self._clock()
        if not unclaimed or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            foreign = self._without_row(unclaimed)
            if foreign:
                self._kernel.metrics.count(FOREIGN_HINTS, amount=foreign)
                log.warning(
                    "%d of %d hints in the queue %s are of no order in this database: does a copy "
                    "of it use the same broker? Give each another database in KERNEL_BROKER_URL",
                    *(foreign, len(unclaimed), self._kernel.one(Name).queue()),
                )
        except DATABASE_ERRORS as error:
            log.debug("not looked at: %s", error)

    def _without_row(self, order_ids: Sequence[str]) -> int:
        with self._kernel.read() as connection:
            rows = connection.execute(select(ORDERS.c.id).where(ORDERS.c.id.in_(order_ids)))
            return len(set(order_ids) - {row.id for row in rows})
