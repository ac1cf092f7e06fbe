"""When no worker knows a tag: when none has noted it for an hour of sweeps without a gap.

When all workers were down, some of them start before the others. So a tag that was not noted
meanwhile says nothing until they have had an hour.
"""

from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from sqlalchemy import Connection, select

from kernel.db.clock import AT_ONCE, database_time
from kernel.db.tables.service import SelectTag, Sweep
from kernel.runtime.kernel import Kernel

UNKNOWN_AFTER = timedelta(hours=1)
# Sweeps that are further apart have a gap between them: this long, or some intervals.
GAP, INTERVALS = timedelta(minutes=1), 5


def is_for_others(kernel: Kernel, connection: Connection, tag: str) -> bool:
    """Tell whether this process does not know the tag, and a worker does, or still may.

    A rollout may do that.
    """
    if tag in kernel.handlers:
        return False
    seen = kernel.clock.sql(-UNKNOWN_AFTER)
    query = select(SelectTag.tag).where(SelectTag.tag == tag, SelectTag.seen_at >= seen)
    if connection.scalar(query) is not None:
        return True
    return unbroken_for(kernel, connection) < UNKNOWN_AFTER


def unbroken_for(kernel: Kernel, connection: Connection) -> timedelta:
    """Return for how long there has been no gap between sweeps; 0 when there is one now."""
    found = last_sweep(kernel, connection)
    since = None if found is None else unbroken_since(kernel, found)
    return AT_ONCE if found is None or since is None else found.now - since


def last_sweep(kernel: Kernel, connection: Connection) -> Any:
    """Return the row with the time at which it was read; None when there is none."""
    sent = monotonic()
    found = connection.execute(_ROW, {"now": kernel.clock.offset()}).one_or_none()
    if found is not None:
        kernel.clock.heard(found.now, sent)
    return found


def unbroken_since(kernel: Kernel, found: Any) -> datetime | None:
    """Return since when sweeps have followed each other, by `last_sweep`; None: there is a gap."""
    if found.unbroken_until is None:
        return None
    gap = max(GAP, INTERVALS * timedelta(seconds=kernel.settings.sweep_seconds))
    since: datetime | None = found.unbroken_since
    # The clock may have been set, forward or back: that is a gap, too.
    return since if abs(found.now - found.unbroken_until) <= gap else None


_ROW = select(
    Sweep.swept_at, Sweep.unbroken_since, Sweep.unbroken_until, database_time("now").label("now")
)
