"""T2: a due order becomes this process's: pending → running, run + 1, a lease.

Orders that were hinted together are looked at together and claimed one by one, each just before
its handler begins: if this process dies, no process owns those after it. From the second
on, a claim is committed by the transaction that ends the order before it.
"""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from time import monotonic
from typing import Any

from sqlalchemy import Connection, bindparam, literal_column, or_, select
from sqlalchemy.exc import DBAPIError

from kernel.db.clock import database_time
from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.delivery.first_attempt import FirstAttempts
from kernel.errors import RunBroken
from kernel.formats.tracecontext import Trace
from kernel.handlers import Event, Handler, Progress
from kernel.orders.decide import Exit, Why
from kernel.orders.due import MAY_BEGIN, NEVER_PUT_OFF
from kernel.orders.gates.events import given_events
from kernel.orders.gates.limits import slots
from kernel.orders.gates.limits.known import NONE, Limits
from kernel.orders.gates.limits.line import Line
from kernel.orders.gates.limits.lining_up import enter
from kernel.orders.gates.shares import has_room, max_running_of
from kernel.orders.transitions import TAKE, RunEnd
from kernel.runs.fence import is_fit
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel

# Orders of one message are claimed here for this long; the rest is hinted again.
BATCH_SECONDS = 0.25
_MORE = (
    *(ORDERS.c[name] for name in ("args", "secret_args", "request_id", "traceparent")),
    max_running_of(ORDERS.c.caller_id).label("max_running"),
)


@cache
def _looking(tags: tuple[str, ...], count: int) -> Prepared:
    """Make the statement that finds what is due of ``count`` orders, ``id_0`` and so on."""
    return Prepared(
        select(*SNAPSHOT, *_MORE, database_time("now")).where(
            ORDERS.c.id.in_([bindparam(f"id_{n}") for n in range(count)]),
            ORDERS.c.state == literal_column(f"'{OrderState.PENDING}'"),
            or_(ORDERS.c.run_after <= database_time("now"), NEVER_PUT_OFF),
            MAY_BEGIN,
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
    # The secret ones of its arguments, sealed; null for most.
    secret_args: str | None = field(default=None, repr=False)
    # What the order was told, and how many of its events have ended a wait.
    events: tuple[Event, ...] = ()
    waits: int = 0
    # How many orders of its caller may run at once, with this one; null: any number.
    max_running: int | None = None
    # What it has taken of its tag's limit; null without one.
    hold: slots.Hold | None = None


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
        # Orders that are due, and when, because others were claimed or ended here.
        self._hints: list[RunEnd] = []
        self._limits = kernel.one(Limits)
        # The order whose slot was not free at first sight.
        self._lined_up: Claimed | None = None
        # The order that has been given the slot of the one that ends.
        self._heir: Claimed | None = None

    @property
    def left(self) -> list[str]:
        """The orders that are due and were not claimed here: they should be hinted again."""
        return [*self.unseen, *(found.order.id for found in self._found)]

    def claim(self) -> Claimed | None:
        """Claim the next order; None when there is none, or the rest should not wait any longer.

        The handler of what was claimed before must have ended. Raises SQLAlchemy's errors; call
        `hand_back` then.
        """
        self._heir = None
        while self._next is None and self._goes_on():
            with self.connection.begin() as transaction:
                if self.unseen:
                    self._look()
                if not self._take():
                    transaction.rollback()
        claimed, self._next = self._next, None
        return claimed

    def claim_along(self) -> None:
        """Claim the next order in the open transaction, which ends the one before it.

        Raises RunBroken: trouble with this order costs that one its run, but does not fail it. An
        order whose caller has a share is claimed by itself: its share is locked before any order.
        """
        if self._found and self._found[0].max_running is not None:
            return
        try:
            self._take(along=True)
        except DBAPIError as error:
            raise RunBroken(str(error.orig)) from error

    def leave_slot(self, claimed: Claimed) -> Line | None:
        """Free the slot of a run that ends, or give it to the order that is claimed along.

        Returns the line, locked, if orders wait there. Call it before the order's row is written.
        """
        self._heir = None
        hold = claimed.hold
        if hold is None or hold.number is None:
            return slots.lock_since(self.kernel, self.connection, claimed.order)
        heir = self._found[0] if self._found and self._goes_on() else None
        shares = heir is not None and self._shares_slot(claimed, heir)
        if heir and shares and slots.pass_on(self.connection, hold, claimed.order, heir.order):
            self._heir = self._found[0] = replace(heir, hold=hold)
            return None
        return slots.free(self.kernel, self.connection, hold, claimed.order)

    def take_hints(self) -> list[RunEnd]:
        """Return the orders that are due because others were claimed or ended here."""
        hints, self._hints = self._hints, []
        return hints

    def hint(self, ends: Sequence[RunEnd]) -> None:
        """Note orders that are due once the open transaction is committed."""
        self._hints += ends

    def hand_back(self) -> None:
        """Give back the order that was claimed and will not run, if there is one.

        It was not claimed if the COMMIT came to nothing, and another process may have claimed it
        as the same run meanwhile. That one learns at its end that it lost the order, and the
        order is run again.
        """
        if self._next is not None:
            order, self._next = self._next.order, None
            exit_ = Exit(Why.NOT_BEGUN)
            self.ends.append(leave(self.kernel, order.id, order.run, exit_, order.gates))

    def _goes_on(self) -> bool:
        waiting = self.unseen or (self._found and monotonic() < self._until)
        stopping = self.kernel.stopping.is_set()
        return bool(waiting) and not stopping and is_fit(self.connection)

    def _look(self) -> None:
        self._limits.refresh()
        clock, sent = self.kernel.clock, monotonic()
        now = {"now": clock.offset()}
        looking = _looking(tuple(self.kernel.handlers), len(self.unseen))
        ids = {f"id_{n}": order_id for n, order_id in enumerate(self.unseen)}
        found = {row[0]: row for row in looking.rows(self.connection, ids | now)}
        for row in found.values():
            clock.heard(row.pop(), sent)
        in_turn = [found.pop(order_id) for order_id in self.unseen if order_id in found]
        self.unseen = []
        self._found.extend(self._read(row) for row in in_turn)
        self._until = monotonic() + BATCH_SECONDS

    def _read(self, row: Sequence[Any]) -> Claimed:
        order = OrderSnapshot(*row[: len(SNAPSHOT)])
        args, secret_args, request_id, traceparent, most = row[len(SNAPSHOT) :]
        handler = self.kernel.handlers[order.select_tag]
        trace = Trace(request_id, traceparent)
        return Claimed(order, handler, args, None, None, trace, secret_args, max_running=most)

    def _take(self, *, along: bool = False) -> bool:
        """Claim the next order; False when nothing was written, and the transaction is to end.

        ``along``: the transaction ends another order, and goes on in any case. It has locked that
        order's row, so it takes no slot but the one which that order leaves.
        """
        while self._found and (self._goes_on() or self._found[0] is self._heir):
            found = self._found[0]
            if found.max_running is not None and not has_room(self.connection, found.order):
                self._found.popleft()  # pending: its turn comes when an order of its caller ends
                continue
            is_limited = self._limits.of(found.order.select_tag) is not None
            if is_limited and along and found is not self._heir:
                return False
            if is_limited and not along:
                hold = self._enter(found)
                if hold is None:
                    return self._lined_up is not found
                found = replace(found, hold=hold)
            taken = self._make_running(found)
            claimed = self._claimed(found) if taken else None  # if it raises: found is left
            self._found.popleft()
            if claimed is not None:
                self._next = claimed
                return True
            if found is self._heir and found.hold is not None:
                slots.drop(self.connection, found.hold, found.order)
            elif is_limited:
                return False
        return False

    def _make_running(self, found: Claimed) -> bool:
        clock = self.kernel.clock
        mine: dict[str, Any] = {"now": clock.offset(), "lease": clock.offset(self.kernel.lease)}
        mine |= {"runner": self.kernel.runner, "connection": self._number()}
        return TAKE.execute(self.connection, found.order.fenced() | mine) == 1

    def _enter(self, found: Claimed) -> slots.Hold | None:
        """Take the order's slot and turn; one that has to wait for them is left out.

        At first sight nothing is locked but what is free; see `kernel.orders.gates.limits.slots`.
        """
        order, limit = found.order, self._limits.of(found.order.select_tag) or NONE
        place = self._limits.place(order.select_tag, found.args)
        if found is not self._lined_up:
            self._lined_up = found
            return slots.enter_quickly(self.kernel, self.connection, order, place, limit)
        self._lined_up = None
        entry = enter(self.kernel, self.connection, order, place, limit)
        self.hint(entry.ends)
        if entry.hold is None:
            self._found.popleft()
        return entry.hold

    def _shares_slot(self, claimed: Claimed, heir: Claimed) -> bool:
        """Tell whether a slot that ``claimed`` holds is one that ``heir`` needs, and all it needs.

        Slots of another place, locked after this one's, could make two processes wait for ever.
        """
        tag, limit = heir.order.select_tag, self._limits.of(heir.order.select_tag)
        needs_more = heir.max_running is not None or limit is None or limit.rate is not None
        if needs_more or tag != claimed.order.select_tag:
            return False
        return claimed.hold is not None and claimed.hold.place == self._limits.place(tag, heir.args)

    def _claimed(self, found: Claimed) -> Claimed:
        """Return what was found as the row has it now, with what earlier runs have saved."""
        order = found.order._replace(state=OrderState.RUNNING, run=found.order.run + 1)
        if (order.gates or 0) & Has.EVENTS:
            events, waits = given_events(self.connection, order.id)
            found = replace(found, events=events, waits=waits)
        if not order.checkpoint:
            return replace(found, order=order)
        ((current, total, note, state),) = _SAVED.rows(self.connection, {"id": order.id})
        progress = None if current is None else Progress(current, total, note)
        state = None if state is None else json.loads(state)
        return replace(found, order=order, progress=progress, state=state)

    def _number(self) -> int | None:
        """Return the server's number of this connection: a rescue kills it by that."""
        return self.kernel.dialect.connection_number(self.connection)
