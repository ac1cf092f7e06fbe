"""T2: a due order becomes this process's: pending → running, run + 1, a lease.

Orders that were hinted together are looked at together and claimed one by one, each just before
its handler begins: if this process dies, no process owns those after it. From the second
on, a claim is committed by the transaction that ends the order before it. Short orders that share
a commit (`kernel.runs.together`) are claimed together as well.
"""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from kernel.db.states import OrderState
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import SNAPSHOT, OrderSnapshot
from kernel.delivery.first_attempt import FirstAttempts
from kernel.errors import RunBroken
from kernel.formats.tracecontext import Trace
from kernel.handlers import Event, Handler, Progress
from kernel.orders.due import looking
from kernel.orders.ends.together import Taker, take_together
from kernel.orders.gates.events import given_events
from kernel.orders.gates.limits import slots
from kernel.orders.gates.limits.known import NONE, Limits
from kernel.orders.gates.limits.line import Line
from kernel.orders.gates.limits.lining_up import enter, pass_over
from kernel.orders.gates.shares import has_room
from kernel.orders.transitions import TAKE, RunEnd
from kernel.runs.fence import is_fit, saved_checkpoint
from kernel.runs.leases import leave_unbegun
from kernel.runs.together.which import company_of
from kernel.runtime.kernel import Kernel

# Orders of one message are claimed here for this long; the rest is hinted again.
BATCH_SECONDS = 0.25


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
    # The connection that its claim has written into its row; null where none has a number.
    number: int | None = None


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
        # Due, and not claimed yet.
        self.found: deque[Claimed] = deque()
        self.until = 0.0
        # Claimed, and not taken by `claim` yet; and what was claimed together with it.
        self.next: Claimed | None = None
        self._beside: list[Claimed] = []
        # Whether the end of a run claims the next order, and whether orders are claimed together.
        self.claims_along = self._joins = True
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
        return [*self.unseen, *(found.order.id for found in self.found)]

    def claim(self) -> Claimed | None:
        """Claim the next order; None when there is none, or the rest should not wait any longer.

        The handler of what was claimed before must have ended. Raises SQLAlchemy's errors; call
        `hand_back` then.
        """
        self._heir = None
        while self.next is None and self._goes_on():
            with suppress(RunBroken), self.connection.begin() as transaction:
                if self.unseen:
                    self._look()
                if not self._take():
                    transaction.rollback()
        claimed, self.next = self.next, None
        return claimed

    def take_beside(self) -> list[Claimed]:
        """Return the orders that were claimed together with the one that `claim` returned."""
        beside, self._beside = self._beside, []
        return beside

    def claim_along(self) -> None:
        """Claim the next order in the open transaction, which ends the one before it.

        Raises RunBroken: trouble with this order costs that one its run, but does not fail it. An
        order whose caller has a share is claimed by itself: its share is locked before any order.
        """
        if not self.claims_along or (self.found and self.found[0].max_running is not None):
            return
        try:
            self._take(along=True)
        except Exception as error:  # a bug, too: `claim` meets it again, without another order
            raise RunBroken(str(getattr(error, "orig", error))) from error

    def leave_slot(self, claimed: Claimed) -> Line | None:
        """Free the slot of a run that ends, or give it to the order that is claimed along.

        Returns the line, locked, if orders wait there. Call it before the order's row is written.
        """
        self._heir = None
        hold = claimed.hold
        if hold is None or hold.number is None:
            return slots.lock_since(self.kernel, self.connection, claimed.order)
        heir = self.found[0] if self.claims_along and self.found and self._goes_on() else None
        shares = heir is not None and self._shares_slot(hold, heir)
        if heir and shares and slots.pass_on(self.connection, hold, claimed.order, heir.order):
            self._heir = self.found[0] = replace(heir, hold=hold)
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

        It was not claimed if the COMMIT stored nothing: see `leave_unbegun`.
        """
        claimed, self.next = self.next, None
        for one in (claimed, *self.take_beside()):
            if one is not None:
                self.ends.append(leave_unbegun(self.kernel, one.order, one.number))

    def _goes_on(self) -> bool:
        waiting = self.unseen or (self.found and monotonic() < self.until)
        return bool(waiting) and not self.kernel.stopping.is_set() and is_fit(self.connection)

    def _look(self) -> None:
        self._limits.refresh()
        clock, sent = self.kernel.clock, monotonic()
        now = {"now": clock.offset()}
        find = looking(tuple(self.kernel.handlers), len(self.unseen))
        ids = {f"id_{n}": order_id for n, order_id in enumerate(self.unseen)}
        found = {row[0]: row for row in find.rows(self.connection, ids | now)}
        for row in found.values():
            clock.heard(row.pop(), sent)
        in_turn = [found.pop(order_id) for order_id in self.unseen if order_id in found]
        self.unseen = []
        self.found.extend(self._read(row) for row in in_turn)
        self.until = monotonic() + BATCH_SECONDS

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
        while self.found and (self._goes_on() or self.found[0] is self._heir):
            if self._joins and (company := company_of(self.found, self._limits)):
                if self._take_together(company):
                    return True
                continue
            found = self.found[0]
            if found.max_running is not None and not has_room(self.connection, found.order):
                ends = None if along else pass_over(self.kernel, self.connection, found.order)
                self.hint(ends or ())
                self.found.popleft()  # pending: its turn comes when an order of its caller ends
                return ends is not None
            is_limited = self._limits.of(found.order.select_tag) is not None
            if is_limited and along and found is not self._heir:
                return False
            if is_limited and not along:
                hold = self._enter(found)
                if hold is None:
                    return self._lined_up is not found
                found = replace(found, hold=hold)
            mine = found.order.fenced() | {"held_gates": found.order.gates or 0}
            taken = TAKE.execute(self.connection, mine | self._taker()._asdict()) == 1
            claimed = self._claimed(found) if taken else None  # if it raises: found is left
            self.found.popleft()
            if claimed is not None:
                self.next = claimed
                return True
            if found is self._heir and found.hold is not None:
                slots.drop(self.connection, found.hold, found.order)
            elif is_limited:
                break
        return False

    def _take_together(self, company: Sequence[Claimed]) -> bool:
        """Claim these orders with one statement; False when all of them were taken by others."""
        taken = take_together(self.connection, [one.order for one in company], self._taker())
        if taken is None:
            self._joins = False
            raise RunBroken("another thread of this process has some of the orders")
        gone = {one.order.id for one in company}
        self.found = deque(one for one in self.found if one.order.id not in gone)
        claimed = [self._claimed(one) for one in company if one.order.id in taken]
        if claimed:
            self.next, *self._beside = claimed
        return bool(claimed)

    def _taker(self) -> Taker:
        clock, number = self.kernel.clock, self.kernel.dialect.connection_number(self.connection)
        return Taker(self.kernel.runner, number, clock.offset(), clock.offset(self.kernel.lease))

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
            self.found.popleft()
        return entry.hold

    def _shares_slot(self, hold: slots.Hold, heir: Claimed) -> bool:
        """Tell whether a slot that is held is one that ``heir`` needs, and all it needs.

        Slots of another place, locked after this one's, could make two processes wait for ever. For
        an order that has waited a slot may be kept already.
        """
        tag, limit = heir.order.select_tag, self._limits.of(heir.order.select_tag)
        needs_more = heir.max_running is not None or limit is None or limit.rate is not None
        needs_more = needs_more or bool((heir.order.gates or 0) & Has.LIMIT)
        if needs_more or tag != hold.place.tag:
            return False
        with suppress(Exception):  # as in `claim_along`
            return hold.place == self._limits.place(tag, heir.args)
        return False

    def _claimed(self, found: Claimed) -> Claimed:
        """Return what was found as the row has it now, with what earlier runs have saved."""
        order = found.order._replace(state=OrderState.RUNNING, run=found.order.run + 1)
        # What this process has put off of that run was of a claim that was not stored.
        self.kernel.pending_handbacks.pop((order.id, order.run), None)
        number = self.kernel.dialect.connection_number(self.connection)
        if (order.gates or 0) & Has.EVENTS:
            events, waits = given_events(self.connection, order.id)
            found = replace(found, events=events, waits=waits)
        if not order.checkpoint:
            return replace(found, order=order, number=number)
        progress, state = saved_checkpoint(self.connection, order.id)
        return replace(found, order=order, number=number, progress=progress, state=state)
