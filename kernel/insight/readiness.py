"""Which processes count as alive."""

from datetime import timedelta

from sqlalchemy import func, select

from kernel.db.tables.service import Worker
from kernel.runtime.kernel import Kernel

# A worker writes its row once per sweep; one that has missed this many counts as dead.
MISSED = 3


def workers_alive(kernel: Kernel) -> int:
    """Return the number of living processes that run handlers. Raises the database's errors."""
    since = kernel.clock.sql(-timedelta(seconds=MISSED * kernel.settings.sweep_seconds))
    seen = select(func.count()).where(Worker.kind == "worker", Worker.seen_at >= since)
    with kernel.read_session() as session:
        return session.scalar(seen) or 0
