"""Whether this installation can work: the checks behind /readyz, for load balancers, operators."""

import logging
from datetime import timedelta

from sqlalchemy import func, select

from kernel.db.tables.service import Worker
from kernel.errors import ConfigurationError, Unavailable
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)

# A worker writes its row once per sweep; one that has missed this many counts as dead.
MISSED = 3


def check_database(kernel: Kernel) -> dict[str, bool]:
    """Tell whether the database answers and is migrated. Only the log tells the error's text."""
    try:
        kernel.check_schema()
    except ConfigurationError as error:
        log.warning("not ready: %s", error)
        return {"database": True, "migrations": False}
    except Unavailable as error:
        log.warning("not ready: %s", error.__cause__ or error)
        return {"database": False, "migrations": False}
    return {"database": True, "migrations": True}


def workers_alive(kernel: Kernel) -> int:
    """Return the number of living processes that run handlers. Raises the database's errors."""
    since = kernel.clock.now() - timedelta(seconds=MISSED * kernel.settings.sweep_seconds)
    seen = select(func.count()).where(Worker.kind == "worker", Worker.seen_at >= since)
    with kernel.read_session() as session:
        return session.scalar(seen) or 0
