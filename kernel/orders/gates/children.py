"""Parents and their children: a parent that waits goes on when all of its children have ended.

A child's end and the parent's wait are commits of their own, and neither takes the other's locks.
So the parent is asked for after the commit of each child's end, by a statement of its own, and
after that of its wait: the last of them finds that no child is live. What a process that dies
between the two leaves undone, the sweep does. A batch is a parent that no worker runs: it ends.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from kernel.db.errors import DATABASE_ERRORS, driver_error
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.formats.envelope import encode
from kernel.formats.texts import text
from kernel.handlers.events import CHILDREN
from kernel.handlers.registering.refusals import BATCH_TAG
from kernel.orders.transitions import RunEnd, end_order, wake
from kernel.runtime.kernel import Kernel

log = logging.getLogger(__name__)

# Children that are read at once.
PAGE = 100
LIVE = tuple(state for state in OrderState if not state.is_final)
_SIBLINGS = GATES.alias("siblings")


def live_child(parent_id: ColumnElement[str] | str) -> Select[Any]:
    """Select one child that has not ended: of the last ones first, for these end last as a rule."""
    child = ORDERS.alias("child")
    return (
        select(child.c.id)
        .join_from(_SIBLINGS, child, child.c.id == _SIBLINGS.c.order_id)
        .where(_SIBLINGS.c.parent_id == parent_id, child.c.state.in_(LIVE))
        .order_by(_SIBLINGS.c.order_id.desc())
        .limit(1)
    )


def with_parent(kernel: Kernel, end: RunEnd) -> RunEnd:
    """Return the end of an order with what becomes of its parent now; after the commit.

    A parent that cannot be asked for now is left to the sweep.
    """
    if not end.is_child:
        return end
    try:
        return replace(end, parent=_after_child(kernel, end.order_id))
    except DATABASE_ERRORS as error:
        log.warning(
            "parent left to the sweep: %s", driver_error(error), extra={"order_id": end.order_id}
        )
        return end


def _after_child(kernel: Kernel, child_id: str) -> RunEnd | None:
    """Have the parent of a child that has ended go on, if this was the last."""
    parent = GATES.c.parent_id
    asked = select(parent).where(GATES.c.order_id == child_id, parent.is_not(None))
    alone = live_child(parent).correlate(GATES).scalar_subquery().is_(None)
    with kernel.read() as connection:
        parent_id = connection.scalar(asked.where(alone))
    return None if parent_id is None else wake_parent(kernel, parent_id)


def wake_parent(kernel: Kernel, parent_id: str) -> RunEnd | None:
    """Have an order go on that waits for its children, if none is live; a batch ends.

    Returns None, having written nothing, when it does not wait for them, or not in vain.
    """
    with kernel.write_session() as session:
        # By its id alone: a run that is about to have it wait holds the row, and is waited for.
        row = session.execute(
            select(*SNAPSHOT).where(ORDERS.c.id == parent_id).with_for_update()
        ).one_or_none()
        if row is None or row.state != OrderState.WAITING or not have_ended(session, parent_id):
            return None
        order = OrderSnapshot(*row)
        if order.select_tag == BATCH_TAG:
            return end_order(kernel, session, order, batch_outcome(kernel, session, parent_id))
        woken = wake(kernel, session, [parent_id], GATES.c.waiting_for == CHILDREN)
        return RunEnd(parent_id, woken=tuple(woken)) if woken else None


def have_ended(session: Session, parent_id: str, _what: str = CHILDREN) -> bool:
    """Tell whether no child of an order is live."""
    return session.scalar(live_child(parent_id)) is None


def batch_outcome(kernel: Kernel, session: Session, batch_id: str) -> Outcome:
    """Return how a batch ends, with the number of its children by their states."""
    counts = count_children(session, batch_id)
    total, good = sum(counts.values()), counts.get(OrderState.SUCCESS, 0)
    result = encode({"orders": total, **counts}).decode()
    language = kernel.settings.language
    if good == total:
        return Outcome(OrderState.SUCCESS, text(OrderState.SUCCESS, language), result)
    message = text("batch_warning", language).format(bad=total - good, total=total)
    return Outcome(OrderState.WARNING, message, result)


def count_children(asked_of: Session | Connection, parent_id: str) -> dict[str, int]:
    """Return how many children an order has in each state, in the order of the states."""
    asked = (
        select(ORDERS.c.state, func.count())
        .join_from(GATES, ORDERS, ORDERS.c.id == GATES.c.order_id)
        .where(GATES.c.parent_id == parent_id)
        .group_by(ORDERS.c.state)
    )
    found = {row[0]: int(row[1]) for row in asked_of.execute(asked)}
    return {state.value: found[state] for state in OrderState if state in found}


def count_ended(counts: Mapping[str, int]) -> int:
    """Return how many children have ended, of their number in each state."""
    return sum(number for state, number in counts.items() if OrderState(state).is_final)


def live_children(kernel: Kernel, parent_id: str) -> Iterator[Sequence[str]]:
    """Yield the children of an order that are to be cancelled, up to `PAGE` of them at a time.

    One that runs, has been asked to end and has no children itself is not among them.
    """
    after = ""
    has_children = func.coalesce(ORDERS.c.gates, 0).op("&")(int(Has.CHILDREN)) != 0
    is_asked = and_(ORDERS.c.state == OrderState.RUNNING, ORDERS.c.cancel_requested_at.is_not(None))
    asked = (
        select(ORDERS.c.id)
        .join_from(GATES, ORDERS, ORDERS.c.id == GATES.c.order_id)
        .where(GATES.c.parent_id == parent_id, ORDERS.c.state.in_(LIVE))
        .where(or_(~is_asked, has_children))
        .order_by(GATES.c.order_id)
        .limit(PAGE)
    )
    while True:
        with kernel.read() as connection:
            page = connection.scalars(asked.where(GATES.c.order_id > after)).all()
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1]


def of_live_parents(session: Session, rows: Sequence[Any]) -> set[str]:
    """Return those of these orders whose parents have not ended, and may ask for their outcomes.

    ``rows`` have the columns id and gates; asks nothing where none of them is a child.
    """
    ids = [row.id for row in rows if (row.gates or 0) & Has.PARENT]
    asked = (
        select(GATES.c.order_id)
        .join_from(GATES, ORDERS, ORDERS.c.id == GATES.c.parent_id)
        .where(GATES.c.order_id.in_(ids), ORDERS.c.state.in_(LIVE))
    )
    return set(session.scalars(asked)) if ids else set()


def relatives(asked: Session | Connection, order: Any) -> dict[str, Any]:
    """Return what an order's JSON says of its parent, and of its children by their states."""
    found: dict[str, Any] = {}
    if (order.gates or 0) & Has.PARENT:
        parent = select(GATES.c.parent_id).where(GATES.c.order_id == order.id)
        found["parent"] = asked.execute(parent).scalar_one_or_none()
    if (order.gates or 0) & Has.CHILDREN:
        found["children"] = count_children(asked, order.id)
    return found


class WaitingParents:
    """Walks through the orders that wait for their children, some with each call of `next`."""

    def __init__(self, what: str = CHILDREN) -> None:
        self._what = what
        self._after = (0, "")

    def next(self, session: Session, limit: int) -> list[str]:
        """Return the next ``limit`` of them at most; begin again after the last."""
        found: list[str] = []
        for caller_id in self._callers(session):
            after = self._after[1] if caller_id == self._after[0] else ""
            asked = select(GATES.c.order_id).where(
                GATES.c.caller_id == caller_id,
                GATES.c.waiting_for == self._what,
                GATES.c.order_id > after,
            )
            left = limit - len(found)
            found += session.scalars(asked.order_by(GATES.c.order_id).limit(left))
            if len(found) == limit:
                self._after = (caller_id, found[-1])
                return found
        self._after = (0, "")
        return found

    def _callers(self, session: Session) -> Iterator[int]:
        here_on = skip_scan((GATES.c.caller_id,)).where(GATES.c.caller_id >= self._after[0])
        return (row.caller_id for row in session.execute(here_on).all())


def childless(session: Session, parent_ids: Sequence[str]) -> list[str]:
    """Return those of these orders that have no live child."""
    if not parent_ids:
        return []
    alone = live_child(GATES.c.order_id).correlate(GATES).scalar_subquery().is_(None)
    asked = select(GATES.c.order_id).where(GATES.c.order_id.in_(parent_ids), alone)
    return list(session.scalars(asked))
