"""Slots and turns of a limit: taken before an order begins, given back when its run ends.

The usual way is one statement each, and looks at one slot. Where orders wait, or a guess at a free
slot was wrong, `kernel.orders.gates.limits.line` looks at all that there is.
"""

import random
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, literal_column, or_, select, update

from kernel.db.clock import database_time
from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.gates import Has
from kernel.db.tables.limits import LINES, SLOTS
from kernel.db.tables.orders import OrderSnapshot
from kernel.handlers.limits import Limit
from kernel.orders.gates.limits.known import Limits, Place, limits
from kernel.orders.gates.limits.line import Line, at, lock
from kernel.orders.gates.limits.waiters import args_of
from kernel.runtime.kernel import Kernel

# By the primary key: a lock that begins at the index of orders would be taken the other way round
# than that of a transaction which gives the slot to another order.
_THE_SLOT = and_(at(SLOTS), SLOTS.c.number == bindparam("at_number"))
_MINE = and_(SLOTS.c.order_id == bindparam("held_order"), SLOTS.c.run == bindparam("held_run"))
_UNWANTED = SLOTS.c.is_wanted.is_(False)
_HOLDER: dict[str, Any] = {"order_id": bindparam("new_order"), "run": bindparam("new_run")}
_TAKE = Prepared(
    update(SLOTS).where(_THE_SLOT, SLOTS.c.run == 0, _UNWANTED).values(_HOLDER),
)
_GIVE_UP = Prepared(update(SLOTS).where(_THE_SLOT, _MINE).values(run=0))
_FREE = Prepared(update(SLOTS).where(_THE_SLOT, _MINE, _UNWANTED).values(run=0))
_PASS_ON = Prepared(update(SLOTS).where(_THE_SLOT, _MINE, _UNWANTED).values(_HOLDER))
# It changes nothing, and keeps the slot for this transaction.
_KEEP = Prepared(update(SLOTS).where(_THE_SLOT, _MINE).values(run=SLOTS.c.run))
_WHERE = Prepared(select(SLOTS.c.tag, SLOTS.c.value, SLOTS.c.number).where(_MINE))
_VACANT = Prepared(
    select(SLOTS.c.number)
    .where(at(SLOTS), SLOTS.c.run == 0, _UNWANTED)
    .limit(literal_column("1"))
    .with_for_update(skip_locked=True)
)
_PACE = Prepared(
    update(LINES)
    .where(at(LINES), LINES.c.is_wanted.is_(False))
    .where(or_(LINES.c.free_at.is_(None), LINES.c.free_at <= database_time("now")))
    .values(free_at=database_time("next"))
)


def _held(order: OrderSnapshot, run: int) -> dict[str, Any]:
    return {"held_order": order.id, "held_run": run}


class Hold(NamedTuple):
    """What an order has taken: its place, and its slot there if the limit has slots."""

    place: Place
    number: int | None

    @property
    def values(self) -> dict[str, Any]:
        """The values for statements about the slot."""
        return self.place.values | {"at_number": self.number}


def enter_quickly(
    kernel: Kernel, connection: Connection, order: OrderSnapshot, place: Place, limit: Limit
) -> Hold | None:
    """Take what an order needs to begin, if there is some and no order waits for it.

    None: the transaction is to be rolled back, and `lining_up.enter` asked.
    """
    if limit.rate is None and (order.gates or 0) & Has.LIMIT:
        mine = held_by(connection, order.id, order.run + 1)
        if mine and _KEEP.execute(connection, mine.values | _held(order, order.run + 1)) == 1:
            return mine
    now = kernel.clock.offset
    if limit.rate is not None:
        paced = place.values | {"now": now(), "next": now(limit.rate.spacing)}
        if _PACE.execute(connection, paced) != 1:
            return None
    if limit.concurrency is None:
        return Hold(place, None)
    return _take(kernel, connection, order, place, limit.concurrency)


def _take(
    kernel: Kernel, connection: Connection, order: OrderSnapshot, place: Place, count: int
) -> Hold | None:
    """Take a slot: the one that this process had last, or another that is free."""
    known = kernel.one(Limits)
    guess = known.taken.get(place)
    number = random.randrange(count) if guess is None else guess  # noqa: S311 - spreads rivals
    holder = {"new_order": order.id, "new_run": order.run + 1}
    hold = Hold(place, number)
    if _TAKE.execute(connection, hold.values | holder) != 1:
        # The guess may be locked now, so this transaction waits for no other slot.
        vacant = _VACANT.rows(connection, place.values)
        hold = Hold(place, vacant[0][0] if vacant else None)
        if not vacant or _TAKE.execute(connection, hold.values | holder) != 1:
            return None
    known.remember(*hold)
    return hold


def held_by(connection: Connection, order_id: str, run: int) -> Hold | None:
    """Return where this run of an order holds a slot. Locks nothing."""
    found = _WHERE.rows(connection, {"held_order": order_id, "held_run": run})
    return Hold(Place(*found[0][:2]), found[0][2]) if found else None


def pass_on(connection: Connection, hold: Hold, order: OrderSnapshot, heir: OrderSnapshot) -> bool:
    """Give the slot of a run that ends to the order that its process runs next, if none waits."""
    to = {"new_order": heir.id, "new_run": heir.run + 1}
    return _PASS_ON.execute(connection, hold.values | _held(order, order.run) | to) == 1


def drop(connection: Connection, hold: Hold, order: OrderSnapshot) -> None:
    """Free the slot that a pending order was given which could not begin."""
    _FREE.execute(connection, hold.values | _held(order, order.run + 1))


def free(kernel: Kernel, connection: Connection, hold: Hold, order: OrderSnapshot) -> Line | None:
    """Free the slot of a run that ends; call it before the order's row is written.

    None: no order waits for it. Otherwise the line, locked: `deal` says who is next.
    """
    mine = hold.values | _held(order, order.run)
    if _FREE.execute(connection, mine) == 1:
        return None
    if _GIVE_UP.execute(connection, mine) == 0:  # counted anew since, it may hold another one
        return lock_held(kernel, connection, (order.id, order.run))
    # The slot is locked, so this transaction must not wait for the line. If another one has that,
    # it waits for the slot, finds it free, and deals itself.
    return lock(kernel, connection, hold.place, waits=False)


def lock_held(kernel: Kernel, connection: Connection, held: tuple[str, int]) -> Line | None:
    """Lock the line and slots where this run of an order holds one, which counts as free then.

    Asks nothing where no tag has slots.
    """
    if not limits(kernel).has_slots:
        return None
    hold = held_by(connection, *held)
    line = None if hold is None else lock(kernel, connection, hold.place)
    if line is not None:
        line.leave(*held)
    return line


def lock_since(kernel: Kernel, connection: Connection, order: OrderSnapshot) -> Line | None:
    """As `lock_held`, for a run that took no slot as it began: its tag may have got slots since.

    Asks nothing where this process knows of none.
    """
    limit = kernel.one(Limits).of(order.select_tag)
    if limit is None or limit.concurrency is None:
        return None
    return lock_held(kernel, connection, (order.id, order.run))


def lock_kept(kernel: Kernel, connection: Connection, order: OrderSnapshot) -> Line | None:
    """Lock the line where a slot or the turn is kept for a pending order that is not to begin.

    Both count as free then. Asks nothing for an order for which none was ever kept.
    """
    if order.state != OrderState.PENDING or not (order.gates or 0) & Has.LIMIT:
        return None
    hold = held_by(connection, order.id, order.run + 1)
    place = _paced(kernel, connection, order) if hold is None else hold.place
    line = None if place is None else lock(kernel, connection, place)
    if line is None:
        return None
    is_next = line.turn == order.id
    if not is_next and line.slot_of(order.id, order.run + 1) is None:
        return None
    line.leave(order.id, order.run + 1)
    line.turn = None if is_next else line.turn
    return line


def _paced(kernel: Kernel, connection: Connection, order: OrderSnapshot) -> Place | None:
    """Return where an order without a slot may have its turn; None where the tag has no rate."""
    limit = limits(kernel).of(order.select_tag)
    if limit is None or limit.rate is None or order.select_tag not in kernel.handlers:
        return None
    args = args_of(connection, order.id)
    return None if args is None else limits(kernel).place(order.select_tag, args)
