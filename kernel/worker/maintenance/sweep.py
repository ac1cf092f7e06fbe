"""What makes lost messages and dead workers harmless: find what is due, rescue, fail.

Any dispatcher may sweep; a conditional update on one row lets one of them do so per interval.
Returns ids; the dispatcher sends the hints.
"""

import logging
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from kernel.db.tables.service import Sweep
from kernel.db.transactions import rowcount
from kernel.insight import process_metrics as metering
from kernel.insight.workers import forget_silent
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.known_tags import fail_unknown
from kernel.worker.maintenance.rescue import rescue_orders

log = logging.getLogger(__name__)


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


def sweep(kernel: Kernel, *, rescue: bool) -> Swept:
    """Sweep once: rescue, fail orders of unknown tags, forget workers that are gone.

    ``rescue`` is False until this process has reached the database without a break for a whole
    lease: an outage is not a death. What is due is found by `due_orders`, before and apart from
    this: no trouble in here may keep orders from being hinted.
    """
    swept = Swept()
    if rescue:
        rescue_orders(kernel, swept)
    fail_unknown(kernel, swept)
    with kernel.write_session() as session:
        forget_silent(session, kernel.clock.now())
    metering.fold(kernel)
    return swept
