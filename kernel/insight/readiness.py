"""Which processes count as alive."""

from datetime import timedelta

from sqlalchemy import func, select

from kernel.db.clock import database_time
from kernel.db.statements.prepared import Prepared
from kernel.db.tables.service import Worker
from kernel.runtime.kernel import Kernel

# A worker writes its row once per sweep; one that has missed this many counts as dead.
MISSED = 3


def workers_alive(kernel: Kernel) -> int:
    """Return the number of living processes that run handlers. Raises the database's errors."""
    missed = timedelta(seconds=MISSED * kernel.settings.sweep_seconds)
    with kernel.read() as connection:
        ((found,),) = _ALIVE.rows(connection, {"since": kernel.clock.offset(-missed)})
    return int(found)


_ALIVE = Prepared(
    select(func.count()).where(Worker.kind == "worker", Worker.seen_at >= database_time("since"))
)
