"""Could this installation do its work? What a load balancer asks, and an operator reads."""

import logging
from datetime import timedelta

from sqlalchemy import func, select

from kernel.db.tables.service import Worker
from kernel.errors import ConfigurationError, Unavailable
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)

# Workers note themselves once per sweep: whoever has missed this many is not counted on.
MISSED = 3


def check_database(kernel: Kernel) -> dict[str, bool]:
    """Tell whether the database answers and fits this code; what is wrong is for the log alone."""
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
    """Return how many processes that run handlers were seen lately. Raises database errors."""
    since = kernel.clock.now() - timedelta(seconds=MISSED * kernel.settings.sweep_seconds)
    seen = select(func.count()).where(Worker.kind == "worker", Worker.seen_at >= since)
    with kernel.read_session() as session:
        return session.scalar(seen) or 0
