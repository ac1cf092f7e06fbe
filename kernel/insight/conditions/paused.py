"""What people have paused, and the hosts that they have drained, as the rules look at it."""

from sqlalchemy import Connection, select

from kernel.db.tables.service import DRAINED
from kernel.insight.conditions.facts import Pause
from kernel.pauses.listing import list_pauses

# The most pauses that are named.
SHOWN = 50


def paused(connection: Connection) -> list[Pause]:
    """Return the drained hosts and the pauses in force, the oldest first.

    Raises the database's errors.
    """
    hosts = select(DRAINED).order_by(DRAINED.c.since).limit(SHOWN)
    drained = [
        Pause(
            "worker_host",
            row.host,
            row.since,
            by=row.by_whom,
            why=row.why,
            resumes=(("worker_host", row.host),),
        )
        for row in connection.execute(hosts)
    ]
    return drained + [
        Pause(
            one.what.removesuffix("_id"),
            one.name,
            one.since,
            until=one.until,
            by=one.by_whom,
            why=one.why,
            resumes=one.resumes,
        )
        for one in list_pauses(connection, SHOWN)
    ]
