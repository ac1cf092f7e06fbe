"""The recorded steps of an order, and how an operator has it run again from one of them.

An outcome is final and told once. So an order that has ended stays as it is: a new one is submitted
that takes over what was recorded before the step. A live order forgets what it has recorded from
the step on.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, literal, select, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import By
from kernel.db.ids import ID
from kernel.db.states import OrderState, Priority
from kernel.db.tables.gates import GATES, Has
from kernel.db.tables.orders import ORDERS, Order, with_bit
from kernel.db.tables.steps import STEPS
from kernel.errors import Conflict, NotFound
from kernel.handlers import Handler
from kernel.orders.secrets.arguments import SecretsGone
from kernel.orders.submit import Along
from kernel.runs.reruns import note_rerun
from kernel.runtime.kernel import Kernel

# What a live order forgets of a step.
_FORGOTTEN = {
    "attempts": 0,
    "again": STEPS.c.again + 1,
    **dict.fromkeys(("duration_ms", "error", "done_at", "result", "secret_result")),
}
_COPIED = [column for column in STEPS.c if column.name not in ("order_id", "again")]


def list_steps(asked: Session | Connection, order: Order) -> Sequence[Row[Any]]:
    """Return the rows of an order's steps, in the order in which they were first begun.

    Asks nothing for an order that has none: its row says so.
    """
    if not (order.gates or 0) & Has.STEPS:
        return []
    mine = select(STEPS).where(STEPS.c.order_id == order.id).order_by(STEPS.c.number)
    return asked.execute(mine).all()


def rerun_of(asked: Session | Connection, order: Order) -> str | None:
    """Return the id of the order that this one runs again; None, unasked, for every other."""
    if not (order.gates or 0) & Has.RERUN:
        return None
    found: str | None = asked.scalar(select(GATES.c.rerun_of).where(GATES.c.order_id == order.id))
    return found


def find_step(asked: Session | Connection, order: Order, named: str | int) -> Row[Any]:
    """Return the step of an order with this name or number. Raises NotFound."""
    steps = list_steps(asked, order)
    for step in steps:
        if named in (step.name, step.number):
            return step
    known = ", ".join(step.name for step in steps[:20]) or "none"
    raise NotFound(f"the order has no step {str(named)[:100]}; there are: {known}")


def members_of(
    order: Order, args: str, gate: Mapping[str, Any], handler: Handler | None
) -> dict[str, Any]:
    """Return the body that an order was submitted with, but for its window, which is over.

    Whether it came by the original's address stands in its row alone (``is_original``), and so does
    its reference where its ``handler`` takes a member of that name for an argument.
    ``args``: JSON text of its arguments; ``gate``: as `kernel.orders.gates.shown` has it.
    """
    own: dict[str, Any] = {}
    if order.reference is not None:
        own["reference"] = order.reference
    if "ordering_key" in gate:
        own["ordering_key"] = gate["ordering_key"]
    if order.priority != Priority.NORMAL:
        own["priority"] = Priority(order.priority).word
    if handler is not None:
        own = {name: value for name, value in own.items() if not handler.takes(name)}
    named = {"select_tag": order.select_tag, "callback_url": order.callback_url or None}
    return {**named, **own, **json.loads(args)}


def run_live_again(kernel: Kernel, order_id: str, named: str | int, by: By) -> bool:
    """Have a live order do a step and all after it again, at once; False when it has ended.

    The keys of these steps change, so that other systems do their part again. Progress and state
    of checkpoints stay. Raises NotFound for an order or a step that there is not, and Conflict
    while the order runs.
    """
    with kernel.write_session() as session:
        is_id = ID.fullmatch(order_id)
        order = session.get(Order, order_id, with_for_update=True) if is_id else None
        if order is None:
            raise NotFound(f"there is no order {order_id[:64]}")
        state, step = OrderState(order.state), find_step(session, order, named)
        if state.is_final:
            return False
        if state is OrderState.RUNNING:
            raise Conflict("the order is running: cancel it, or wait until its run has ended")
        later = (STEPS.c.order_id == order_id, STEPS.c.number >= step.number)
        session.execute(update(STEPS).where(*later).values(_FORGOTTEN))
        soon = update(ORDERS).where(ORDERS.c.id == order_id, ORDERS.c.state == state)
        session.execute(soon.values(run_after=kernel.clock.sql()))
        by.record(session, "order.rerun", f"order {order_id}", after={"from": step.name})
    return True


def taking_over(
    kernel: Kernel, order: Order, steps: Sequence[Row[Any]], step: Row[Any], by: By
) -> Along:
    """Return what gives a new order the steps that ``order``, which has ended, did before ``step``.

    Progress and state of checkpoints are not taken over. Raises SecretsGone when the result of one
    of these steps was secret and has been deleted.
    """
    kept = [one for one in steps if one.number < step.number and one.done_at is not None]
    if any(one.result is None and one.secret_result is None for one in kept):
        raise SecretsGone(page="secrets_gone")
    numbers, now = [one.number for one in kept], kernel.clock.sql()

    def along(connection: Connection, new_id: str) -> None:
        these = select(literal(new_id), *_COPIED).where(
            STEPS.c.order_id == order.id, STEPS.c.number.in_(numbers)
        )
        names = ["order_id", *(column.name for column in _COPIED)]
        connection.execute(insert(STEPS).from_select(names, these))
        mine = ORDERS.c.id == new_id
        connection.execute(update(ORDERS).where(mine).values(gates=with_bit(Has.STEPS)))
        note_rerun(connection, order.id, new_id, now)
        after = {"order": new_id, "from": step.name}
        by.record(connection, "order.rerun", f"order {order.id}", after=after)

    return along
