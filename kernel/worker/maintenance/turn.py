"""Whose turn it is to sweep: one process per interval wins a conditional update of one row.

The row tells since when sweeps have followed each other without a gap: while no process sweeps, no
worker can be said to be missing.
"""

from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from kernel.db.clock import AT_ONCE, DatabaseTime, database_time
from kernel.db.tables.service import Sweep
from kernel.db.transactions import rowcount
from kernel.runtime.kernel import Kernel

# Sweeps that are further apart have a gap between them: this long, or some intervals.
GAP, INTERVALS = timedelta(minutes=1), 5


def next_turn(kernel: Kernel) -> float:
    """Claim the sweep of this interval: return 0 when it is ours, else the seconds to the next."""
    interval, now = kernel.settings.sweep_seconds, kernel.clock.sql()
    with kernel.read() as connection:
        found = _found(kernel, connection)
    if found is None:
        return 0.0 if _first_turn(kernel, now) else interval
    last, since = found.swept_at, _unbroken_since(kernel, found)
    ago: float = (found.now - last).total_seconds()
    if abs(ago) < interval:  # the clock may have been set back a little
        return interval - ago
    values = {"swept_at": now, "unbroken_since": since or now, "unbroken_until": now}
    with kernel.write_session() as session:
        taken = session.execute(update(Sweep).where(Sweep.swept_at == last).values(values))
    return 0.0 if rowcount(taken) == 1 else interval


def unbroken_for(kernel: Kernel, connection: Connection) -> timedelta:
    """Return for how long there has been no gap between sweeps; 0 when there is one now."""
    found = _found(kernel, connection)
    since = None if found is None else _unbroken_since(kernel, found)
    return AT_ONCE if found is None or since is None else found.now - since


def _found(kernel: Kernel, connection: Connection) -> Any:
    """Return the row with the time at which it was read; None when there is none."""
    sent = monotonic()
    found = connection.execute(_ROW, {"now": kernel.clock.offset()}).one_or_none()
    if found is not None:
        kernel.clock.heard(found.now, sent)
    return found


def _unbroken_since(kernel: Kernel, found: Any) -> datetime | None:
    if found.unbroken_until is None:
        return None
    gap = max(GAP, INTERVALS * timedelta(seconds=kernel.settings.sweep_seconds))
    since: datetime | None = found.unbroken_since
    # The clock may have been set, forward or back: that is a gap, too.
    return since if abs(found.now - found.unbroken_until) <= gap else None


_ROW = select(
    Sweep.swept_at, Sweep.unbroken_since, Sweep.unbroken_until, database_time("now").label("now")
)


def _first_turn(kernel: Kernel, now: DatabaseTime) -> bool:
    try:
        with kernel.write_session() as session:
            row = {"id": 1, "swept_at": now, "unbroken_since": now, "unbroken_until": now}
            session.execute(insert(Sweep).values(row))
    except IntegrityError:
        return False
    return True
