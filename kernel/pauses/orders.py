"""Orders that a pause holds: due ones wait, and go on when no pause holds them any more.

A claim refuses a paused order by itself (`NOT_PAUSED`), so nothing here has to be in time. That
they wait takes them out of the lanes in which due orders are looked for, and out of the count of
what is late; it shows what holds them. They wait in the order in which they were due.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.orders.gates.limits import slots
from kernel.orders.transitions import (
    Waiting,
    begin_waiting,
    begin_waiting_together,
    let_go_on,
    wake,
)
from kernel.runtime.kernel import Kernel

# What `Gate.waiting_for` begins with: `paused:tag:NAME`, `paused:caller:ID`.
PREFIX = "paused:"
# Orders of one transaction; those that a person waits for, and those of one sweep.
BATCH, HELD_AT_ONCE, HELD_BY_SWEEP = 200, 1000, 5000
_BY_TAG = "ix_kernel_orders_state_select_tag_id"
_BY_CALLER = "ix_kernel_orders_state_caller_id_priority_run_after"


class Held(NamedTuple):
    """How many orders or callbacks wait now, and which orders go on with a slot that one had."""

    number: int
    woken: Sequence[str] = ()


def reason(tag: str | None, caller_id: int | None) -> str:
    """Return what orders of a paused tag, or of a paused caller, wait for."""
    return f"{PREFIX}tag:{tag}" if tag is not None else f"{PREFIX}caller:{caller_id}"


def hold_orders(kernel: Kernel, most: int) -> Held:
    """Have due orders that a pause holds wait, ``most`` of them; see `reason`."""
    number, woken = 0, list[str]()
    for row in _in_force(kernel):
        what = reason(row.tag, row.orders_of)
        while number < most and (ids := _due(kernel, row, min(BATCH, most - number))):
            held = _hold(kernel, ids, what)
            number, woken = number + held.number, [*woken, *held.woken]
            if not held.number:  # all of them were claimed or cancelled meanwhile
                break
    return Held(number, woken)


def _in_force(kernel: Kernel) -> Sequence[Any]:
    asked = select(PAUSES.c.tag, PAUSES.c.orders_of).where(
        or_(PAUSES.c.tag.is_not(None), PAUSES.c.orders_of.is_not(None))
    )
    with kernel.read_session() as session:
        return session.execute(asked.order_by(PAUSES.c.id)).all()


def _due(kernel: Kernel, row: Any, limit: int) -> Sequence[Any]:
    """Return up to ``limit`` due orders of what is paused, each with what it has beside it."""
    pending = (ORDERS.c.state == OrderState.PENDING, ORDERS.c.run_after <= kernel.clock.sql())
    asked = select(ORDERS.c.id, ORDERS.c.gates)
    if row.tag is not None:
        of = by_index(asked, ORDERS, _BY_TAG).where(ORDERS.c.select_tag == row.tag)
    else:
        of = by_index(asked, ORDERS, _BY_CALLER).where(ORDERS.c.caller_id == row.orders_of)
    with kernel.read_session() as session:
        return session.execute(of.where(*pending).limit(limit)).all()


def _hold(kernel: Kernel, rows: Sequence[Any], what: str) -> Held:
    """Have these orders wait: together, but for those for which a slot may be kept."""
    apart = [row.id for row in rows if (row.gates or 0) & Has.LIMIT]
    together = [row.id for row in rows if row.id not in set(apart)]
    number, woken = 0, list[str]()
    if together:
        with kernel.write_session() as session:
            number += begin_waiting_together(kernel, session, together, what)
    for order_id in apart:
        with kernel.write_session() as session:
            freed = _wait_without_slot(kernel, session, order_id, what)
        if freed is not None:
            number, woken = number + 1, [*woken, *freed]
    return Held(number, woken)


def _wait_without_slot(
    kernel: Kernel, session: Session, order_id: str, what: str
) -> list[str] | None:
    """Have an order wait, and give the slot that is kept for it to another; return who goes on.

    None, having written nothing, when it is pending no longer.
    """
    asked = select(*SNAPSHOT, ORDERS.c.run_after).where(ORDERS.c.id == order_id)
    row = session.execute(asked).one_or_none()
    if row is None or row.state != OrderState.PENDING:
        return None
    *snapshot, due = row
    order = OrderSnapshot(*snapshot)
    # Locked before the order, as everywhere.
    line = slots.lock_kept(kernel, session.connection(), order)
    if not begin_waiting(kernel, session, order, Waiting(what), Has(0)):
        return None
    noted = update(GATES).where(GATES.c.order_id == order_id)
    session.execute(noted.values(accepted_at=due))
    return [] if line is None else let_go_on(kernel, session, line)


def release_orders(kernel: Kernel, most: int) -> list[str]:
    """Have orders go on that wait for a pause which is over, ``most`` of them; return them.

    Those that another pause holds wait for that one, each in its place.
    """
    done: list[str] = []
    for what in _over(kernel):
        for ids in _waiting(kernel, what, most - len(done)):
            held = _held_by_another(kernel, ids)
            for other, theirs in held.items():
                _wait_on(kernel, theirs, what, other)
            free = sorted(set(ids).difference(*held.values()))
            with kernel.write_session() as session:
                done += wake(kernel, session, free, GATES.c.waiting_for == what)
    return done


def _held_by_another(kernel: Kernel, order_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return those of these orders that pauses in force hold, by what they are to wait for."""
    holds = or_(PAUSES.c.tag == ORDERS.c.select_tag, PAUSES.c.orders_of == ORDERS.c.caller_id)
    asked = (
        select(ORDERS.c.id, PAUSES.c.tag, PAUSES.c.orders_of)
        .join_from(ORDERS, PAUSES, holds)
        .where(ORDERS.c.id.in_(order_ids))
    )
    with kernel.read_session() as session:
        rows = session.execute(asked.order_by(ORDERS.c.id)).all()
    # One, where both have come since.
    by_order = {row.id: reason(row.tag, row.orders_of) for row in rows}
    found: dict[str, list[str]] = {}
    for order_id, other in by_order.items():
        found.setdefault(other, []).append(order_id)
    return found


def _wait_on(kernel: Kernel, order_ids: Sequence[str], what: str, other: str) -> None:
    """Have orders that wait for one pause wait for another one."""
    waits = and_(ORDERS.c.id.in_(order_ids), ORDERS.c.state == OrderState.WAITING)
    with kernel.write_session() as session:
        locked = select(ORDERS.c.id).where(waits).order_by(ORDERS.c.id).with_for_update()
        if ids := list(session.scalars(locked)):
            theirs = (GATES.c.order_id.in_(ids), GATES.c.waiting_for == what)
            session.execute(update(GATES).where(*theirs).values(waiting_for=other))


def _over(kernel: Kernel) -> list[str]:
    """Return what orders wait for that no pause is in force for, by jumps through an index."""
    scan = skip_scan((GATES.c.waiting_for,)).where(
        GATES.c.waiting_for >= PREFIX, GATES.c.waiting_for < f"{PREFIX[:-1]};"
    )
    with kernel.read_session() as session:
        waited = [row.waiting_for for row in session.execute(scan)]
    if not waited:
        return []
    holding = {reason(row.tag, row.orders_of) for row in _in_force(kernel)}
    return [one for one in waited if one not in holding]


def _waiting(kernel: Kernel, what: str, most: int) -> Iterator[list[str]]:
    """Yield orders that wait for this, those due first before others, a batch at a time."""
    at, id_ = GATES.c.accepted_at, GATES.c.order_id
    asked = select(id_, at).where(GATES.c.waiting_for == what).order_by(at, id_)
    after: ColumnElement[bool] | None = None
    while most > 0:
        page = asked if after is None else asked.where(after)
        with kernel.read_session() as session:
            rows = session.execute(page.limit(min(BATCH, most))).all()
        if not rows:
            return
        yield [row.order_id for row in rows]
        most -= len(rows)
        # What an older release has ended is left as it waits, and looked past.
        last = rows[-1]
        after = or_(at > last.accepted_at, (at == last.accepted_at) & (id_ > last.order_id))
