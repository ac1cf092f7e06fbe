"""Keys whose holder has ended without passing its turn on: an older release beside this one did it.

A release that knows no keys claims and ends a holder like any order. The orders behind it wait
then; what is here finds their keys and gives the turn to the next. Keys are looked at by their
holders, some with each sweep: however many orders wait behind a key, it has one row.
"""

from typing import NamedTuple

from sqlalchemy import select

from kernel.db.states import OrderState
from kernel.db.tables.gates import KEYS
from kernel.db.tables.orders import ORDERS
from kernel.orders.gates.keys import lock_row, pass_on
from kernel.orders.transitions import wake
from kernel.runtime.kernel import Kernel

_FINAL = [state for state in OrderState if state.is_final]


class StuckKey(NamedTuple):
    """A key whose ``holder`` is no live order."""

    caller_id: int
    ordering_key: str
    holder: str


def stuck_keys(kernel: Kernel, after: str, limit: int) -> tuple[list[StuckKey], str]:
    """Look at the next ``limit`` keys that have a holder; return those that are stuck.

    ``after``: the holder that was looked at last; beside the keys stands the next ``after``, which
    is empty at the end.
    """
    near = (
        select(KEYS.c.caller_id, KEYS.c.ordering_key, KEYS.c.holder)
        .where(KEYS.c.holder > after)
        .order_by(KEYS.c.holder)
        .limit(limit)
        .subquery()
    )
    looked = select(near, ORDERS.c.id, ORDERS.c.state).outerjoin_from(
        near, ORDERS, ORDERS.c.id == near.c.holder
    )
    with kernel.read() as connection:
        found = connection.execute(looked).all()
    stuck = [StuckKey(*row[:3]) for row in found if row.id is None or row.state in _FINAL]
    last = max((row.holder for row in found), default="")
    return stuck, last if len(found) == limit else ""


def release_key(kernel: Kernel, stuck: StuckKey) -> tuple[str, ...]:
    """Give the turn of a stuck key to the order that waits longest; return it, if there is one."""
    with kernel.write_session() as session:
        connection = session.connection()
        turn = lock_row(connection, stuck.caller_id, stuck.ordering_key)
        if turn is None or turn.holder != stuck.holder:
            return ()
        state = session.scalar(select(ORDERS.c.state).where(ORDERS.c.id == stuck.holder))
        if state is not None and state not in _FINAL:
            return ()
        held = stuck.holder
        return pass_on(connection, turn, held, lambda next_: wake(kernel, session, [next_]))
