"""The line of a place, locked with all of its slots: what is seen there is all there is.

Lock order: line, slots, orders. Knows no transition: `kernel.orders.transitions` wakes whom `deal`
names.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from kernel.db.clock import database_time
from kernel.db.columns import UTCDateTime
from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.limits import LINES, SLOTS
from kernel.db.tables.orders import ORDERS
from kernel.handlers.limits import Limit
from kernel.orders.gates.limits.known import NONE, Place
from kernel.orders.gates.limits.waiters import waiting
from kernel.orders.gates.shares import is_full
from kernel.runtime.kernel import Kernel

# A pending order loses the slot that is kept for it when it is due for this long and not claimed.
KEPT = timedelta(seconds=30)
# How many orders go on at once whose limit was taken away.
TOGETHER = 200


def at(table: Any) -> Any:
    """Return the condition that a row of ``table`` belongs to a place; see `Place.values`."""
    return and_(table.c.tag == bindparam("at_tag"), table.c.value == bindparam("at_value"))


_ROW = select(LINES.c.free_at, LINES.c.turn, LINES.c.is_wanted, database_time("now")).where(
    at(LINES)
)
_LINE = Prepared(_ROW.with_for_update())
_LINE_IF_UNLOCKED = Prepared(_ROW.with_for_update(skip_locked=True))
_SLOTS = Prepared(
    select(SLOTS.c.number, SLOTS.c.order_id, SLOTS.c.run)
    .where(at(SLOTS))
    .order_by(SLOTS.c.number)
    .with_for_update()
)


@dataclass(slots=True)
class Slot:
    """A slot of a locked line."""

    number: int
    order_id: str
    run: int
    is_changed: bool = False

    def hold(self, order_id: str, run: int) -> None:
        """Have an order's run hold it; run 0 frees it."""
        self.order_id, self.run, self.is_changed = order_id, run, True


@dataclass(slots=True)
class Line:
    """A place's row and slots, locked: nothing there changes until the transaction ends."""

    place: Place
    free_at: datetime
    turn: str | None
    is_wanted: bool
    now: datetime
    slots: list[Slot]
    # When the order with the turn is due, as `heal` has seen it.
    turn_due: datetime | None = None
    # Who is to be woken: the orders that were dealt to.
    next: list[str] = field(default_factory=list)

    @property
    def vacant(self) -> list[Slot]:
        """The slots that no order holds."""
        return [one for one in self.slots if not one.run]

    @property
    def wait(self) -> float:
        """For how many seconds no order may begin, as the rate has it."""
        return max(0.0, (self.free_at - self.now).total_seconds())

    def slot_of(self, order_id: str, run: int) -> Slot | None:
        """Return the slot that this run of an order holds."""
        mine = (one for one in self.slots if (one.order_id, one.run) == (order_id, run))
        return next(mine, None)

    def leave(self, order_id: str, run: int) -> None:
        """Free what this run of an order holds."""
        if (slot := self.slot_of(order_id, run)) is not None:
            slot.hold(order_id, 0)


def lock(
    kernel: Kernel, connection: Connection, place: Place, *, waits: bool = True
) -> Line | None:
    """Lock a place's line and its slots; None when there is no such place yet.

    ``waits`` False: also None when another transaction has the line.
    """
    line = _LINE if waits else _LINE_IF_UNLOCKED
    found = line.rows(connection, place.values | {"now": kernel.clock.offset()})
    if not found:
        return None
    ((free_at, turn, is_wanted, now),) = found
    slots = [Slot(*row) for row in _SLOTS.rows(connection, place.values)]
    return Line(place, max(free_at or now, now), turn, bool(is_wanted), now, slots)


def locked(kernel: Kernel, connection: Connection, place: Place) -> Line:
    """Lock a place's line and its slots, and make the place first if there is none."""
    while (line := lock(kernel, connection, place)) is None:
        # Another process may make it first.
        with suppress(IntegrityError), connection.begin_nested():
            connection.execute(insert(LINES).values(tag=place.tag, value=place.value))
    return line


def count_in(kernel: Kernel, connection: Connection, line: Line) -> None:
    """Have each order of a place that runs without a slot hold one, a new one if none is free.

    Such an order began before its tag had a limit. More slots than there should be are deleted as
    they become free.
    """
    has_slot = exists().where(SLOTS.c.order_id == ORDERS.c.id, SLOTS.c.run == ORDERS.c.run)
    handler = kernel.handlers.get(line.place.tag)
    args = literal("") if handler is None or handler.per is None else ORDERS.c.args
    runs = select(ORDERS.c.id, ORDERS.c.run, args.label("args")).where(
        ORDERS.c.state == OrderState.RUNNING, ORDERS.c.select_tag == line.place.tag, ~has_slot
    )
    known = {(one.order_id, one.run) for one in line.slots}
    for order_id, run, text in connection.execute(runs).all():
        value = handler.limited_by(text) if handler is not None and handler.per else ""
        if value != line.place.value or (order_id, run) in known:
            continue
        if not line.vacant:
            line.slots += _more_slots(connection, line, 1)
        line.vacant[0].hold(order_id, run)


def heal(kernel: Kernel, connection: Connection, line: Line) -> None:
    """Free the slots, and the turn, of orders that neither run with them nor may begin soon."""
    holders = {one.order_id for one in line.slots if one.run} | {line.turn or ""}
    is_due = ORDERS.c.run_after <= kernel.clock.sql()
    late = or_(
        ORDERS.c.run_after <= kernel.clock.sql(-KEPT), and_(is_due, is_full(ORDERS.c.caller_id))
    )
    columns = (ORDERS.c.id, ORDERS.c.state, ORDERS.c.run, ORDERS.c.run_after, late.label("late"))
    rows = connection.execute(select(*columns).where(ORDERS.c.id.in_(holders))).all()
    runs, begins = set(), {}
    for row in rows:
        if row.state == OrderState.RUNNING:
            runs.add((row.id, row.run))
        elif row.state == OrderState.PENDING and not row.late:
            runs.add((row.id, row.run + 1))
            begins[row.id] = row.run_after
    for slot in line.slots:
        if slot.run and (slot.order_id, slot.run) not in runs:
            slot.hold(slot.order_id, 0)
    line.turn_due = begins.get(line.turn)
    if line.turn_due is None:
        line.turn = None


def fit(connection: Connection, line: Line, limit: Limit) -> bool:
    """Make as many slots as the limit says; of those that are too many, delete the free ones.

    A turn is no further away than the rate has turns apart: it was written under another rate, or
    by a clock that was set back since. Returns whether slots were made: `count_in` tells who should
    hold them already.
    """
    if limit.rate is not None:
        line.free_at = min(line.free_at, line.now + limit.rate.spacing)
    wanted = limit.concurrency or 0
    if is_new := wanted > len(line.slots):
        line.slots += _more_slots(connection, line, wanted - len(line.slots))
    surplus = line.vacant[: max(0, len(line.slots) - wanted)]
    if surplus:
        gone = [one.number for one in surplus]
        there_too = (SLOTS.c.tag == line.place.tag, SLOTS.c.value == line.place.value)
        connection.execute(delete(SLOTS).where(*there_too, SLOTS.c.number.in_(gone)))
        line.slots = [one for one in line.slots if one.number not in gone]
    return is_new


def _more_slots(connection: Connection, line: Line, count: int) -> list[Slot]:
    there = {one.number for one in line.slots}
    lacking = [number for number in range(count + len(there)) if number not in there]
    of = {"tag": line.place.tag, "value": line.place.value, "is_wanted": line.is_wanted}
    connection.execute(insert(SLOTS), [of | {"number": number} for number in lacking[:count]])
    return [Slot(number, "", 0) for number in lacking[:count]]


def deal(connection: Connection, line: Line, limit: Limit | None) -> None:
    """Give what is free to the orders that wait, the first ones first, and write the line.

    ``line.next``: who is to be woken. With a rate that is one at a time, and it begins at
    `free_at`. Without a limit they all go on, `TOGETHER` at once.
    """
    limit = limit or NONE
    fit(connection, line, limit)
    room = line.vacant if limit.concurrency is not None else None
    most = TOGETHER if room is None else len(room)
    if limit.rate is not None:
        most = 0 if line.turn is not None else min(most, 1)
    line_up = waiting(connection, line.place, most + 1)
    for row in line_up[:most]:
        if room is not None:
            room.pop(0).hold(row.order_id, row.run + 1)
        if limit.rate is not None:
            line.turn = row.order_id
        line.next.append(row.order_id)
    too_many = len(line.slots) > (limit.concurrency or 0)
    write(connection, line, len(line_up) > most or line.turn is not None or too_many)


def write(connection: Connection, line: Line, is_wanted: bool) -> None:
    """Write a locked line and the slots that have changed."""
    there = (SLOTS.c.tag == line.place.tag, SLOTS.c.value == line.place.value)
    for one in line.slots:
        if one.is_changed:
            holds = update(SLOTS).where(*there, SLOTS.c.number == one.number)
            connection.execute(holds.values(order_id=one.order_id, run=one.run))
            one.is_changed = False
    connection.execute(
        _WRITE,
        line.place.values
        | {
            "new_free": line.free_at,
            "new_turn": line.turn,
            "new_wanted": is_wanted,
        },
    )
    if line.is_wanted != is_wanted:
        connection.execute(update(SLOTS).where(*there).values(is_wanted=is_wanted))
        line.is_wanted = is_wanted


_WRITE = (
    update(LINES)
    .where(at(LINES))
    .values(
        free_at=bindparam("new_free", type_=UTCDateTime()),
        turn=bindparam("new_turn"),
        is_wanted=bindparam("new_wanted"),
    )
)
