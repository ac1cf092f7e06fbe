"""A receiver's rate over all dispatchers: one row, one moment (the generic cell rate algorithm).

The row holds the moment at which the receiver's budget is whole again. An attempt may begin when
that is not further away than a burst lasts, and moves it by one attempt's share of a minute. Only
attempts of a receiver with a rate ask the row.
"""

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, select, update

from kernel.db.clock import database_time
from kernel.db.tables.receivers import RECEIVERS
from kernel.delivery.outgoing.gates import Pace
from kernel.runtime.kernel import Kernel


class Turn(NamedTuple):
    """``wait``: seconds until an attempt may begin; 0: it may, and counts.

    ``ahead``: seconds until all of a burst may begin again.
    """

    wait: float
    ahead: float


def take_turn(kernel: Kernel, receiver_id: int, pace: Pace) -> Turn:
    """Have an attempt begin now, if the receiver's row says that it may."""
    spacing, burst = pace
    with kernel.write() as connection:
        found = connection.execute(_ROW, {"receiver": receiver_id, "now": kernel.clock.offset()})
        row = found.one_or_none()
        if row is None:  # removed meanwhile
            return Turn(0.0, 0.0)
        # No further away than a whole burst, but where the database's clock was set back since.
        latest = row.now + timedelta(seconds=burst * spacing)
        free = min(max(row.rate_free_at or row.now, row.now), latest)
        ahead = (free - row.now).total_seconds()
        wait = ahead - (burst - 1) * spacing
        if wait > 0:
            return Turn(wait, ahead)
        moved = {"receiver": receiver_id, "free": free + timedelta(seconds=spacing)}
        connection.execute(_MOVE, moved)
    return Turn(0.0, ahead + spacing)


_ROW = (
    select(RECEIVERS.c.rate_free_at, database_time("now").label("now"))
    .where(RECEIVERS.c.id == bindparam("receiver"))
    .with_for_update()
)
_MOVE = (
    update(RECEIVERS)
    .where(RECEIVERS.c.id == bindparam("receiver"))
    .values(rate_free_at=bindparam("free"))
)
