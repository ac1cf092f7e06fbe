"""How many orders are in each state, and what waits. Counts stop at a limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, func, literal, select, union_all

from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.insight.backlog import Backlog, backlog
from kernel.orders.due import oldest_due
from kernel.runtime.kernel import Kernel

# The count of one state stops here.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is at one moment."""

    # By state, counted up to `COUNTED`.
    states: Mapping[str, int]
    backlog: Backlog
    # The order that has been due for longest, and since when. One that asked to wait is none.
    oldest_id: str | None
    oldest_at: datetime | None


def counts(kernel: Kernel) -> Counts:
    """Count orders by state, and what waits."""
    waiting = backlog(kernel, COUNTED)
    with kernel.read() as connection:
        states = count_states(connection)
        oldest = oldest_due(kernel, connection)
    if oldest is None:
        return Counts(states, waiting, None, None)
    return Counts(states, waiting, oldest.id, oldest.run_after)


def count_states(connection: Connection) -> dict[str, int]:
    """Count the orders of each state, up to `COUNTED`: one statement, from one index."""
    return {row.state: row.number for row in connection.execute(_COUNT_STATES)}


def _count_state(state: OrderState) -> Select[str, int]:
    rows = select(ORDERS.c.state).where(ORDERS.c.state == state).limit(COUNTED).subquery()
    columns = literal(str(state)).label("state"), func.count().label("number")
    return select(*columns).select_from(rows)


_COUNT_STATES = union_all(*(_count_state(state) for state in OrderState))
