"""T2: a due order becomes this process's: pending → running, run + 1, a lease.

Orders that were hinted together are looked at together and claimed one by one, each just before
its handler begins: if this process dies, no process owns those after it. From the second
on, a claim is committed by the transaction that ends the order before it.
"""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from time import monotonic
from typing import Any

from sqlalchemy import Connection, bindparam, literal_column, select
from sqlalchemy.exc import DBAPIError

from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.delivery.first_attempt import FirstAttempts
from kernel.errors import RunBroken
from kernel.formats.tracecontext import Trace
from kernel.handlers import Handler, Progress
from kernel.orders.decide import Exit, Why
from kernel.orders.transitions import TAKE, RunEnd
from kernel.runs.fence import is_fit
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel

# The clocks of two processes differ by what reading them took. A hint that is early by less is on
# time: refused, its order would wait for the sweep.
EARLY_SECONDS = 0.5
# Orders of one message are claimed here for this long; the rest is hinted again.
BATCH_SECONDS = 0.25
_MORE = tuple(ORDERS.c[name] for name in ("args", "request_id", "traceparent"))


@cache
def _looking(tags: tuple[str, ...], count: int) -> Prepared:
    """Make the statement that finds what is due of ``count`` orders, ``id_0`` and so on."""
    return Prepared(
        select(*SNAPSHOT, *_MORE).where(
            ORDERS.c.id.in_([bindparam(f"id_{n}") for n in range(count)]),
            ORDERS.c.state == literal_column(f"'{OrderState.PENDING}'"),
            ORDERS.c.run_after <= bindparam("due"),
            ORDERS.c.select_tag.in_([literal_column(f"'{tag}'") for tag in tags]),
        )
    )


_PROGRESS = ("progress_current", "progress_total", "progress_note", "run_state")
# Asked for the few orders alone that have reached a checkpoint before.
_SAVED = Prepared(
    select(*(ORDERS.c[name] for name in _PROGRESS)).where(ORDERS.c.id == bindparam("id"))
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An order this process owns; its handler has not begun."""

    order: OrderSnapshot
    handler: Handler
    args: str
    progress: Progress | None
    state: Any
    trace: Trace


class Batch:
    """Orders that were hinted together, and the connection on which they run in turn."""

    def __init__(
        self,
        kernel: Kernel,
        connection: Connection,
        order_ids: Sequence[str],
        first_attempts: FirstAttempts | None = None,
    ) -> None:
        self.kernel = kernel
        self.connection = connection
        # What the pool notes of that connection, also when a handler has closed it.
        self.pooled = connection.info
        # Whether this process sends the callback of a run itself; by default no run's.
        self.first_attempts = first_attempts or FirstAttempts()
        # Orders that were not looked at yet.
        self.unseen = list(order_ids)
        # What became of orders that were claimed here and whose handlers were not called.
        self.ends: list[RunEnd] = []
        self._found: deque[Claimed] = deque()
        self._until = 0.0
        # Claimed, and not taken by `claim` yet.
        self._next: Claimed | None = None

    @property
    def left(self) -> list[str]:
        """The orders that are due and were not claimed here: they should be hinted again."""
        return [*self.unseen, *(found.order.id for found in self._found)]

    def claim(self) -> Claimed | None:
        """Claim the next order; None when there is none, or the rest should not wait any longer.

        The handler of what was claimed before must have ended. Raises SQLAlchemy's errors; call
        `hand_back` then.
        """
        if self._next is None and self._goes_on():
            with self.connection.begin() as transaction:
                if self.unseen:
                    self._look()
                self._next = self._take()
                if self._next is None:
                    transaction.rollback()
        claimed, self._next = self._next, None
        return claimed

    def claim_along(self) -> None:
        """Claim the next order in the open transaction, which ends the one before it.

        Raises RunBroken: trouble with this order costs that one its run, but does not fail it.
        """
        try:
            self._next = self._take()
        except DBAPIError as error:
            raise RunBroken(str(error.orig)) from error

    def hand_back(self) -> None:
        """Give back the order that was claimed and will not run, if there is one.

        It was not claimed if the COMMIT came to nothing, and another process may have claimed it
        as the same run meanwhile. That one learns at its end that it lost the order, and the
        order is run again.
        """
        if self._next is not None:
            order, self._next = self._next.order, None
            self.ends.append(leave(self.kernel, order.id, order.run, Exit(Why.NOT_BEGUN)))

    def _goes_on(self) -> bool:
        waiting = self.unseen or (self._found and monotonic() < self._until)
        stopping = self.kernel.stopping.is_set()
        return bool(waiting) and not stopping and is_fit(self.connection)

    def _look(self) -> None:
        due = self.kernel.clock.now() + timedelta(seconds=EARLY_SECONDS)
        looking = _looking(tuple(self.kernel.handlers), len(self.unseen))
        ids = {f"id_{n}": order_id for n, order_id in enumerate(self.unseen)}
        found = {row[0]: row for row in looking.rows(self.connection, {**ids, "due": due})}
        in_turn = [found.pop(order_id) for order_id in self.unseen if order_id in found]
        self.unseen = []
        self._found.extend(self._read(row) for row in in_turn)
        self._until = monotonic() + BATCH_SECONDS

    def _read(self, row: Sequence[Any]) -> Claimed:
        order = OrderSnapshot(*row[: len(SNAPSHOT)])
        args, *trace = row[len(SNAPSHOT) :]
        handler = self.kernel.handlers[order.select_tag]
        return Claimed(order, handler, args, None, None, Trace(*trace))

    def _take(self) -> Claimed | None:
        while self._found and self._goes_on():
            found = self._found[0]
            now = self.kernel.clock.now()
            mine = {"lease": now + self.kernel.lease, "connection": self._number()}
            taken = TAKE.execute(self.connection, {**found.order.fenced(), "now": now, **mine})
            claimed = self._claimed(found) if taken == 1 else None
            self._found.popleft()
            if claimed is not None:
                return claimed
        return None

    def _claimed(self, found: Claimed) -> Claimed:
        """Return what was found as the row has it now, with what earlier runs have saved."""
        order = found.order._replace(state=OrderState.RUNNING, run=found.order.run + 1)
        if not order.checkpoint:
            return replace(found, order=order)
        ((current, total, note, state),) = _SAVED.rows(self.connection, {"id": order.id})
        progress = None if current is None else Progress(current, total, note)
        state = None if state is None else json.loads(state)
        return replace(found, order=order, progress=progress, state=state)

    def _number(self) -> int | None:
        """Return the server's number of this connection: a rescue kills it by that."""
        return self.kernel.dialect.connection_number(self.connection)
