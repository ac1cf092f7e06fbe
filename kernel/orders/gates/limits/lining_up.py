"""Orders that find no slot, or come too early for their rate: they line up, and are let go on.

Each function locks the line of one place first, and then orders: call it in a transaction that has
locked neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, or_, select, tuple_
from sqlalchemy.orm import Session

from kernel.db.statements.skip_scan import skip_scan
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.limits import LINES, SLOTS
from kernel.db.tables.orders import FENCE, ORDERS, OrderSnapshot
from kernel.handlers.limits import Limit
from kernel.orders.gates.limits.known import PREFIX, Place, limits, place_of
from kernel.orders.gates.limits.line import (
    Line,
    count_in,
    fit,
    heal,
    lock,
    locked,
)
from kernel.orders.gates.limits.slots import Hold, lock_kept
from kernel.orders.gates.limits.waiters import note_acceptance, waiting
from kernel.orders.transitions import RunEnd, Waiting, begin_waiting, let_go_on, put_off
from kernel.runtime.kernel import Kernel

# A place of one value of a limit is forgotten when no order has been there for this long.
IDLE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """What an order has taken if it may begin, and which orders are due, and when, since then."""

    hold: Hold | None
    ends: Sequence[RunEnd] = ()


def enter(
    kernel: Kernel, connection: Connection, order: OrderSnapshot, place: Place, limit: Limit
) -> Entry:
    """Take a pending order's slot and turn; or have it wait, or put it off until its turn.

    Nothing of it counts against the order. The caller makes it running in the same transaction if
    it may begin, and commits what was written here in any case.
    """
    line = _fitted(kernel, connection, place, limit)
    slot = line.slot_of(order.id, order.run + 1)
    if (slot is None and not line.vacant) or line.turn not in (None, order.id):
        heal(kernel, connection, line)
    before = waiting(connection, place, 1)
    mine = (order.created_at, order.id)
    is_passed = bool(before) and bool(before[0].is_full)  # it could not begin
    is_first = not before or is_passed or mine < (before[0].accepted_at, before[0].order_id)
    has_slot = limit.concurrency is None or slot or (line.vacant and is_first)
    has_turn = limit.rate is None or line.turn == order.id or (line.turn is None and is_first)
    ends: list[RunEnd] = []
    may_begin = False
    with Session(connection) as session:
        if has_slot and has_turn:
            if limit.concurrency is not None and slot is None:
                slot = line.vacant[0]
                slot.hold(order.id, order.run + 1)
            may_begin = limit.rate is None or line.wait == 0
            if not may_begin:
                line.turn = order.id
                put_off(session, order.id, line.free_at)
                ends.append(RunEnd(order.id, again_in=line.wait))
            elif limit.rate is not None:
                line.free_at, line.turn = line.now + limit.rate.spacing, None
        elif begin_waiting(kernel, session, order, Waiting(place.waiting_for), Has.LIMIT):
            note_acceptance(connection, order)
            line.leave(order.id, order.run + 1)
        ends += let_wait_end(kernel, session, line)
    hold = Hold(place, None if slot is None else slot.number)
    return Entry(hold if may_begin else None, ends)


def pass_over(kernel: Kernel, connection: Connection, order: OrderSnapshot) -> list[RunEnd] | None:
    """Give the slot and the turn that are kept for a pending order to others; return these.

    For one whose caller has no room for it: it stays pending, and lines up again when it is
    claimed. The caller commits. None, having asked nothing, where none was ever kept.
    """
    if not (order.gates or 0) & Has.LIMIT:
        return None
    line = lock_kept(kernel, connection, order)
    stands = select(ORDERS.c.id).where(FENCE).with_for_update()
    if line is None or connection.scalar(stands, order.fenced()) is None:
        return []
    with Session(connection) as session:
        return let_wait_end(kernel, session, line)


def _fitted(kernel: Kernel, connection: Connection, place: Place, limit: Limit) -> Line:
    line = locked(kernel, connection, place)
    if fit(connection, line, limit):
        count_in(kernel, connection, line)
    return line


def let_wait_end(kernel: Kernel, session: Session, line: Line) -> list[RunEnd]:
    """Give what is free in a locked line to the orders that wait; return them, to be hinted.

    In a line that `heal` has seen, the order with the turn is due no later than the rate has it:
    it was put off under another rate, perhaps, and without one there is no turn to wait for.
    """
    turn, due = line.turn, line.turn_due
    limit = limits(kernel).of(line.place.tag)
    if due is not None and (limit is None or limit.rate is None):
        line.turn = None
    woken = let_go_on(kernel, session, line)
    ends = [RunEnd(one, again_in=line.wait if one == line.turn else 0.0) for one in woken]
    begins = line.free_at if line.turn == turn else line.now
    if turn is not None and due is not None and due > begins:
        put_off(session, turn, begins)
        ends.insert(0, RunEnd(turn, again_in=(begins - line.now).total_seconds()))
    return ends


def settle(kernel: Kernel, place: Place) -> list[RunEnd]:
    """Put a place in order: what is held by no living run is free, and given to who waits.

    Call it for tags that this process has handlers of: where there is no limit any more, all orders
    that wait go on, some at a time.
    """
    with kernel.write_session() as session:
        line = locked(kernel, session.connection(), place)
        heal(kernel, session.connection(), line)
        limit = limits(kernel).of(place.tag)
        if limit is not None and limit.concurrency is not None:
            count_in(kernel, session.connection(), line)
        return let_wait_end(kernel, session, line)


def unsettled(kernel: Kernel, after: Place | None, most: int) -> list[Place]:
    """Return places where orders wait or slots are to be looked at, the first ``most`` of these.

    ``after``: of the second kind, those behind this one.
    """
    wanted = select(LINES.c.tag, LINES.c.value).where(LINES.c.is_wanted.is_(True))
    if after is not None:
        wanted = wanted.where(tuple_(LINES.c.tag, LINES.c.value) > tuple_(*after))
    with kernel.read_session() as session:
        found = session.execute(wanted.order_by(LINES.c.tag, LINES.c.value).limit(most)).all()
    return [Place(*row) for row in found]


def waited_for(kernel: Kernel, after: Place | None, most: int) -> list[Place]:
    """Return places where orders wait, the first ``most`` behind ``after``, in the index's order.

    By jumps from one to the next, however many orders wait.
    """
    first = PREFIX if after is None else after.waiting_for
    scan = skip_scan((GATES.c.waiting_for,)).where(
        GATES.c.waiting_for > first, GATES.c.waiting_for < f"{PREFIX[:-1]};"
    )
    with kernel.read_session() as session:
        found = session.execute(scan.order_by(GATES.c.waiting_for).limit(most)).all()
    return [place_of(row.waiting_for) for row in found]


def forget_idle(kernel: Kernel, after: Place | None, most: int) -> Place | None:
    """Delete places of values that no order has had for a day; look at the next ``most`` places.

    Returns the last of them, to go on behind it; None at the end.
    """
    kept_apart = select(LINES.c.tag, LINES.c.value).where(LINES.c.value != "")
    if after is not None:
        kept_apart = kept_apart.where(tuple_(LINES.c.tag, LINES.c.value) > tuple_(*after))
    with kernel.read_session() as session:
        rows = session.execute(kept_apart.order_by(LINES.c.tag, LINES.c.value).limit(most)).all()
        busy = _busy(kernel, session, [Place(*row) for row in rows])
    for place in (Place(*row) for row in rows):
        if place not in busy:
            _forget(kernel, place)
    return Place(*rows[-1]) if len(rows) == most else None


def _busy(kernel: Kernel, session: Session, places: Sequence[Place]) -> set[Place]:
    """Return those of these places that an order has been at lately, as far as their rows tell."""
    if not places:
        return set()
    since = kernel.clock.sql(-IDLE)
    at_lines = tuple_(LINES.c.tag, LINES.c.value).in_([tuple(one) for one in places])
    paced = select(LINES.c.tag, LINES.c.value).where(
        at_lines, or_(LINES.c.free_at > since, LINES.c.is_wanted.is_(True))
    )
    at_slots = tuple_(SLOTS.c.tag, SLOTS.c.value).in_([tuple(one) for one in places])
    lately = or_(ORDERS.c.finished_at > since, ORDERS.c.finished_at.is_(None))
    held = (
        select(SLOTS.c.tag, SLOTS.c.value)
        .join(ORDERS, ORDERS.c.id == SLOTS.c.order_id)
        .where(at_slots, lately)
    )
    return {Place(*row) for query in (paced, held) for row in session.execute(query)}


def _forget(kernel: Kernel, place: Place) -> None:
    with kernel.write_session() as session:
        line = lock(kernel, session.connection(), place)
        if line is None or line.is_wanted or line.wait or len(line.vacant) < len(line.slots):
            return
        for table in (SLOTS, LINES):
            gone = delete(table).where(table.c.tag == place.tag, table.c.value == place.value)
            session.execute(gone)
