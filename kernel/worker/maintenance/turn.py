"""Whose turn it is to sweep: one process per interval wins a conditional update of one row.

The row tells since when sweeps have followed each other without a gap: while no process sweeps, no
worker can be said to be missing.
"""

from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from kernel.db.clock import DatabaseTime
from kernel.db.tables.service import Sweep
from kernel.db.transactions import rowcount
from kernel.orders.ends.unknown_tags import last_sweep, unbroken_since
from kernel.runtime.kernel import Kernel

_SWEEPS: Any = Sweep.__table__


def next_turn(kernel: Kernel) -> float:
    """Claim the sweep of this interval: return 0 when it is ours, else the seconds to the next."""
    interval, now = kernel.settings.sweep_seconds, kernel.clock.sql()
    with kernel.read() as connection:
        found = last_sweep(kernel, connection)
    if found is None:
        return 0.0 if _first_turn(kernel, now) else interval
    last, since = found.swept_at, unbroken_since(kernel, found)
    ago: float = (found.now - last).total_seconds()
    if abs(ago) < interval:  # the clock may have been set back a little
        return interval - ago
    values = {"swept_at": now, "unbroken_since": since or now, "unbroken_until": now}
    with kernel.write_one() as connection:
        taken = connection.execute(update(_SWEEPS).where(_SWEEPS.c.swept_at == last).values(values))
    return 0.0 if rowcount(taken) == 1 else interval


def _first_turn(kernel: Kernel, now: DatabaseTime) -> bool:
    try:
        with kernel.write_session() as session:
            row = {"id": 1, "swept_at": now, "unbroken_since": now, "unbroken_until": now}
            session.execute(insert(Sweep).values(row))
    except IntegrityError:
        return False
    return True
