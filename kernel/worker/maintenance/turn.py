"""Whose turn it is to sweep: one process per interval wins a conditional update of one row."""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from kernel.db.tables.service import Sweep
from kernel.db.transactions import rowcount
from kernel.runtime.kernel import Kernel


def next_turn(kernel: Kernel) -> float:
    """Claim the sweep of this interval: return 0 when it is ours, else the seconds to the next."""
    interval, now = kernel.settings.sweep_seconds, kernel.clock.now()
    with kernel.read() as connection:
        last = connection.scalar(_LAST)
    if last is None:
        return 0.0 if _first_turn(kernel, now) else interval
    since = (now - last).total_seconds()
    if abs(since) < interval:  # another process's clock may be a little ahead
        return interval - since
    with kernel.write_session() as session:
        taken = session.execute(update(Sweep).where(Sweep.swept_at == last).values(swept_at=now))
    return 0.0 if rowcount(taken) == 1 else interval


_LAST = select(Sweep.swept_at)


def _first_turn(kernel: Kernel, now: datetime) -> bool:
    try:
        with kernel.write_session() as session:
            session.execute(insert(Sweep).values(id=1, swept_at=now))
    except IntegrityError:
        return False
    return True
