"""Orders that ended at a moment, and the rows of minutes that are written of them."""

from datetime import datetime, timedelta
from typing import Any

from kernel.db.ids import new_id
from kernel.insight.trends import rows
from kernel.insight.trends.minutes import MINUTE
from kernel.insight.trends.rows import HOUR
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order

SECOND = timedelta(seconds=1)
# A day takes long to count.
REACH = 3 * HOUR + 10 * MINUTE


def go_on_to(kernel: Kernel, minute: int) -> Kernel:
    """Move the clock to 20 s into a minute of the next hour, which are 0 to 59."""
    now = kernel.clock.now()
    to = rows.aligned(now, HOUR) + HOUR + minute * MINUTE + 20 * SECOND
    kernel.clock.shift((to - now).total_seconds())
    return kernel


def ended(kernel: Kernel, at: datetime, seconds: float = 1.0, **values: Any) -> str:
    """Make an order that ended at a moment, so many seconds after it was accepted."""
    began = at - timedelta(seconds=seconds)
    made = {"id": new_id(began), "created_at": began, "run_after": began}
    made |= {"state": "success", "finished_at": at, "message": "success"}
    return make_order(kernel, **made | values)


def write_all(kernel: Kernel, reach: timedelta = REACH) -> int:
    """Write all minutes that are over; return how many."""
    written = 0
    while made := rows.write(kernel, reach):
        assert made <= rows.BATCH
        written += made
    return written
