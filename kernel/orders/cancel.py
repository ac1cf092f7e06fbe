"""Cancel an order: a pending one at once, a running one at its next checkpoint."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic

from sqlalchemy import and_, func, not_, select
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.db.states import OrderState
from kernel.db.tables.gates import Has
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.db.transactions import TRIES, retrying
from kernel.errors import Conflict, NotFound, Unavailable
from kernel.orders.ends.descent import forget_descent
from kernel.orders.ends.outbox import ending
from kernel.orders.gates.children import live_children, with_parent
from kernel.orders.gates.windows import leave_gate
from kernel.orders.pages import get_order
from kernel.orders.transitions import RunEnd, end_order, note_cancel
from kernel.runtime.kernel import Kernel


def cancel(
    kernel: Kernel,
    caller_id: int | None,
    order_id: str,
    tags: frozenset[str] | None = None,
    *,
    by: By = BY_SYSTEM,
    ends: list[RunEnd] | None = None,
) -> OrderState:
    """Cancel an order: one that does not run at once, a running one at its next checkpoint.

    Returns the state it is in now: ``cancelled``, or ``running`` when the request was noted and
    the handler has not seen it yet (a finish that comes first wins). Cancelling a cancelled
    order changes nothing but for its children: a cancel goes down to those that have not ended.
    ``tags``: as of `get_order`. What this has ended is added to ``ends``.
    Raises NotFound, or Conflict when it has
    ended otherwise.
    """
    told = _Told([] if ends is None else ends)
    return _cancel_and_tell(kernel, (caller_id, order_id, tags), by, told)


def begin_cancel(kernel: Kernel, order_id: str, by: By, ends: list[RunEnd], until: float) -> None:
    """As `cancel`, for any caller's order; to its children until then (monotonic), see `go_down`.

    It has come to some of them at least.
    """
    _cancel_and_tell(kernel, (None, order_id, None), by, _Told(ends, until))


_Which = tuple[int | None, str, frozenset[str] | None]


@dataclass(frozen=True, slots=True)
class _Told:
    """What a cancel has ended, and until when (monotonic) it goes on going down."""

    ends: list[RunEnd]
    until: float = math.inf

    @property
    def is_late(self) -> bool:
        return monotonic() > self.until


def _cancel_and_tell(kernel: Kernel, which: _Which, by: By, told: _Told) -> OrderState:
    state = _cancel_with_children(kernel, which, by, told)
    first = next((one for one in told.ends if one.order_id == which[1]), None)
    if first is not None and (parent := with_parent(kernel, first).parent) is not None:
        told.ends.append(parent)
    return state


def _cancel_with_children(kernel: Kernel, which: _Which, by: By, told: _Told) -> OrderState:
    """Cancel an order, then its children: a cancel that was cut short goes on when repeated."""
    for _ in range(TRIES):
        done = retrying(lambda: _cancel(kernel, *which, by))
        if done is not None:
            state, end, has_children = done
            told.ends.extend([] if end is None else [end])
            if has_children and state is OrderState.CANCELLED:
                _go_down(kernel, which[1], told)
            elif has_children:  # more may come until its run ends, with a note of its own
                _cancel_children(kernel, which[1], told)
            return state
    raise Unavailable(retry_after=1)


def go_down(kernel: Kernel, parent_id: str, ends: list[RunEnd], until: float = math.inf) -> bool:
    """Cancel the children of a cancelled order, and theirs: many in one transaction.

    What this has ended is added to ``ends``. False: it was ``until`` (monotonic) before the last;
    the sweep goes on, or the next call.
    """
    return _go_down(kernel, parent_id, _Told(ends, until))


def _go_down(kernel: Kernel, parent_id: str, told: _Told) -> bool:
    if is_done := _cancel_children(kernel, parent_id, told):
        forget_descent(kernel, parent_id)
    return is_done


def _cancel_children(kernel: Kernel, parent_id: str, told: _Told) -> bool:
    for page in live_children(kernel, parent_id):
        done = retrying(partial(_cancel_together, kernel, page))
        told.ends.extend(done)
        ended = {end.order_id for end in done}
        for child in (one for one in page if one not in ended):
            with suppress(Conflict, NotFound):  # it has ended meanwhile
                _cancel_with_children(kernel, (None, child, None), BY_SYSTEM, told)
            if told.is_late:
                return False
        if told.is_late:
            return False
    return True


def _cancel_together(kernel: Kernel, order_ids: Sequence[str]) -> list[RunEnd]:
    """Cancel those of these orders that can be cancelled at once, in one transaction.

    It waits for no lock once it holds one: a row that another transaction holds is left out, and
    so is an order with an ordering key or a slot, whose rows are locked before any order's. One
    with children is left out as well: a cancel that was cut short between the two would not be
    repeated.
    """
    has = func.coalesce(ORDERS.c.gates, 0)
    keeps_slot = and_(ORDERS.c.state == OrderState.PENDING, has.op("&")(int(Has.LIMIT)) != 0)
    asked = select(*SNAPSHOT, ORDERS.c.not_before, ORDERS.c.not_after).where(
        ORDERS.c.id.in_(order_ids),
        ORDERS.c.state.in_((OrderState.PENDING, OrderState.WAITING)),
        has.op("&")(int(Has.KEY | Has.CHILDREN)) == 0,
        not_(keeps_slot),
    )
    ends = []
    with kernel.write_session() as session:
        locked = asked.order_by(ORDERS.c.id).with_for_update(skip_locked=True)
        for row in session.execute(locked).all():
            *snapshot, opens, closes = row
            held = OrderSnapshot(*snapshot)
            end = _end(kernel, session, held, has_window=bool(opens or closes))
            if end is not None:
                _record(session, BY_SYSTEM, held, OrderState.CANCELLED)
                ends.append(end)
    return ends


def _end(
    kernel: Kernel, session: Session, held: OrderSnapshot, *, has_window: bool
) -> RunEnd | None:
    end = end_order(kernel, session, held, ending(kernel, "cancelled"))
    if has_window:
        leave_gate(session, held.id)
    return end


def _record(session: Session, by: By, held: OrderSnapshot, now: OrderState) -> None:
    before, after = {"state": held.state}, {"state": now, "cancel_requested": True}
    by.record(session, "order.cancel", f"order {held.id}", before=before, after=after)


def _cancel(
    kernel: Kernel, caller_id: int | None, order_id: str, tags: frozenset[str] | None, by: By
) -> tuple[OrderState, RunEnd | None, bool] | None:
    """Return the state it is in now, its end, and whether it has children.

    None when it changed under our hands.
    """
    with kernel.write_session() as session:
        order = get_order(session, caller_id, order_id, tags)
        held = OrderSnapshot(
            *session.execute(select(*SNAPSHOT).where(ORDERS.c.id == order_id)).one()
        )
        state, has_children = OrderState(held.state), held.has_children
        if state is OrderState.CANCELLED:
            return state, None, has_children
        if state.is_final:
            raise Conflict(f"the order has ended: {state}", state=state)
        now: OrderState = state
        end = None
        if state is OrderState.RUNNING:
            done = note_cancel(session, order_id, kernel.clock.sql())
        else:
            now = OrderState.CANCELLED
            has_window = bool(order.not_before or order.not_after)
            end = _end(kernel, session, held, has_window=has_window)
            done = end is not None
        if not done:
            return None
        _record(session, by, held, now)
        return now, end, has_children
