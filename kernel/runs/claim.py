"""T2: a due order becomes this process's: pending → running, run + 1, a lease.

Orders that were hinted together are looked at together and claimed one by one, each just before
its handler begins: should this process die, those after it still belong to nobody. From the second
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

from sqlalchemy import Connection, bindparam, func, literal_column, select, update
from sqlalchemy.exc import DBAPIError

from kernel.db.columns import UTCDateTime
from kernel.db.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.orders import FENCE, ORDERS, SNAPSHOT, OrderSnapshot
from kernel.errors import RunBroken
from kernel.formats.tracecontext import Trace
from kernel.handlers import Handler, Progress
from kernel.runs.fence import hand_back
from kernel.runtime.kernel import Kernel

# The clocks of two processes differ by what reading them took. A hint that is early by less is on
# time: refused, its order would wait for the sweep.
EARLY_SECONDS = 0.5
# Whoever was hinted together does not begin here later than this.
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


# What else could have changed since the look changes with the run: when it is due, its progress.
_TAKING = Prepared(
    update(ORDERS)
    .where(FENCE)
    .values(
        state=OrderState.RUNNING,
        run=ORDERS.c.run + 1,
        lease_until=bindparam("lease"),
        started_at=func.coalesce(ORDERS.c.started_at, bindparam("now", type_=UTCDateTime())),
        connection_id=bindparam("connection"),
    )
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An order this process owns; its handler has not begun."""

    held: OrderSnapshot
    handler: Handler
    args: str
    progress: Progress | None
    state: Any
    trace: Trace


class Batch:
    """Orders that were hinted together, and the connection on which they run in turn."""

    def __init__(self, kernel: Kernel, connection: Connection, order_ids: Sequence[str]) -> None:
        self.kernel = kernel
        self.connection = connection
        # Not looked at yet.
        self.unseen = list(order_ids)
        self._found: deque[Claimed] = deque()
        self._until = 0.0
        # Claimed, and not taken by `claim` yet.
        self._next: Claimed | None = None
        self._handed_back: list[str] = []

    @property
    def left(self) -> list[str]:
        """The orders that are due and were not claimed here: they should be hinted again."""
        return [*self._handed_back, *self.unseen, *(found.held.id for found in self._found)]

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
        """Hand back what was claimed and will not run; or was not, if the COMMIT came to nothing.

        Another process may have claimed it as the same run meanwhile. Then that one is told at
        its end that it lost the order, and the order is run again.
        """
        if self._next is not None:
            held, self._next = self._next.held, None
            self._handed_back.append(held.id)
            hand_back(self.kernel, held.id, held.run, 0.0)

    def _goes_on(self) -> bool:
        waiting = self.unseen or (self._found and monotonic() < self._until)
        stopping = self.kernel.stopping.is_set()
        return bool(waiting) and not stopping and not self.connection.invalidated

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
        held = OrderSnapshot(*row[: len(SNAPSHOT)])
        args, *trace = row[len(SNAPSHOT) :]
        handler = self.kernel.handlers[held.select_tag]
        return Claimed(held, handler, args, None, None, Trace(*trace))

    def _take(self) -> Claimed | None:
        while self._found and self._goes_on():
            found = self._found[0]
            now = self.kernel.clock.now()
            mine = {"lease": now + self.kernel.lease, "connection": self._connection_id()}
            taken = _TAKING.execute(self.connection, {**found.held.fenced(), "now": now, **mine})
            claimed = self._claimed(found) if taken == 1 else None
            self._found.popleft()
            if claimed is not None:
                return claimed
        return None

    def _claimed(self, found: Claimed) -> Claimed:
        """Return what was found as the row has it now, with what earlier runs have saved."""
        held = found.held._replace(state=OrderState.RUNNING, run=found.held.run + 1)
        if not held.checkpoint:
            return replace(found, held=held)
        ((current, total, note, state),) = _SAVED.rows(self.connection, {"id": held.id})
        progress = None if current is None else Progress(current, total, note)
        state = None if state is None else json.loads(state)
        return replace(found, held=held, progress=progress, state=state)

    def _connection_id(self) -> int | None:
        """Return the server's number of this connection: a rescue kills it by that."""
        thread_id = getattr(self.connection.connection.dbapi_connection, "thread_id", None)
        return None if thread_id is None else int(thread_id())
