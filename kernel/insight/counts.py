"""How many orders are in each state, and what waits. Counts stop at a limit, and say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from kernel.db.columns import by_index
from kernel.db.ids import time_of
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS
from kernel.insight.backlog import Backlog, backlog
from kernel.insight.minutes import BY_STATE
from kernel.insight.order_search import count_states
from kernel.runtime.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Counts:
    """What there is at one moment."""

    # By state, counted up to `kernel.insight.order_search.COUNTED`.
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
