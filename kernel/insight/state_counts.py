"""How many orders are in each state, and what waits. Counts stop at a limit."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, func, literal, select, union_all

from kernel.db.columns import by_index
from kernel.db.ids import time_of
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.insight.backlog import Backlog, backlog
from kernel.insight.minutes import BY_STATE
from kernel.runtime.kernel import Kernel

# The count of one state stops here.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is at one moment."""

    # By state, counted up to `COUNTED`.
    states: Mapping[str, int]
    backlog: Backlog
    # The pending order that was accepted first.
    oldest_id: str | None

    @property
    def oldest_at(self) -> datetime | None:
        """When that order was accepted."""
        return None if self.oldest_id is None else time_of(self.oldest_id)


def counts(kernel: Kernel) -> Counts:
    """Count orders by state, and what waits."""
    waiting = backlog(kernel)
    with kernel.read() as connection:
        states = count_states(connection)
        oldest = connection.scalar(_OLDEST)
    return Counts(states, waiting, oldest)


# By its own choice MariaDB goes through the primary key, past all that has ended.
_OLDEST = (
    by_index(select(ORDERS.c.id), ORDERS, BY_STATE)
    .where(ORDERS.c.state == OrderState.PENDING)
    .order_by(ORDERS.c.id)
    .limit(1)
)


def count_states(connection: Connection) -> dict[str, int]:
    """Count the orders of each state, up to `COUNTED`: one statement, from one index."""
    return {row.state: row.number for row in connection.execute(_COUNT_STATES)}


def _count_state(state: OrderState) -> Select[str, int]:
    rows = select(ORDERS.c.state).where(ORDERS.c.state == state).limit(COUNTED).subquery()
    columns = literal(str(state)).label("state"), func.count().label("number")
    return select(*columns).select_from(rows)


_COUNT_STATES = union_all(*(_count_state(state) for state in OrderState))
