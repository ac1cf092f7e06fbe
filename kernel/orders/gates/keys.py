"""Orders with an ordering key run one at a time, in the order in which they were accepted.

One row for each caller and key decides (`OrderingKey`): the key's holder is its one order that may
run, and all others wait. That row is locked before an order of the key is accepted and before one
ends, and before any order's row: so a submit and an end cannot miss each other. A retry, a rescue,
a wait for something else change neither holder nor place.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES, KEYS, Has
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel

# What `Gate.waiting_for` says of an order that waits for its turn.
ORDERING_KEY = "ordering_key"

_ROW = (KEYS.c.caller_id == bindparam("caller"), KEYS.c.ordering_key == bindparam("key"))
_OF_ORDER = Prepared(
    select(GATES.c.caller_id, GATES.c.ordering_key, GATES.c.place).where(
        GATES.c.order_id == bindparam("order")
    )
)
_LOCK = Prepared(select(KEYS.c.tail, KEYS.c.holder).where(*_ROW).with_for_update())
# A key's orders by their places.
_LINE = "ix_kernel_gates_caller_id_ordering_key_place"
_NEXT = Prepared(
    by_index(select(GATES.c.order_id, GATES.c.place), GATES, _LINE)
    .join_from(GATES, ORDERS, ORDERS.c.id == GATES.c.order_id)
    .where(
        GATES.c.caller_id == bindparam("caller"),
        GATES.c.ordering_key == bindparam("key"),
        GATES.c.place > bindparam("after"),
        GATES.c.waiting_for == ORDERING_KEY,
        # An older release beside this one may have ended it, and knows nothing of its gate.
        ORDERS.c.state == OrderState.WAITING,
    )
    .order_by(GATES.c.place)
    .limit(1)
)
_PASS = Prepared(update(KEYS).where(*_ROW).values(holder=bindparam("next")))


# What is asked.
Asked = Session | Connection
# How many places before an order are looked at for its position.
COUNTED = 1000


class Place(NamedTuple):
    """The place of an order among those of its key; ``has_turn``: no live order is before it."""

    order_id: str
    ordering_key: str
    place: int
    has_turn: bool = True


class Turn(NamedTuple):
    """The row of a key, which is locked, and the place of the order that it was locked for."""

    caller_id: int
    ordering_key: str
    place: int
    tail: int
    holder: str | None

    @property
    def said(self) -> dict[str, Any]:
        """What a callback says of it."""
        return told(self.ordering_key, self.place)


def take_places(
    kernel: Kernel, connection: Connection, caller_id: int, wanted: Sequence[tuple[str, str]]
) -> list[Place]:
    """Take the next places for new orders of a caller, each its id and its key, in this order.

    Call it before the orders are stored, in their transaction: it locks the rows of the keys, in
    the order of the keys. Each order has to be stored then, or the transaction rolled back.
    """
    waiting: dict[str, list[str]] = {}
    for order_id, key in wanted:
        waiting.setdefault(key, []).append(order_id)
    rows = [
        {"caller_id": caller_id, "ordering_key": key, "tail": len(ids), "holder": ids[0]}
        for key, ids in sorted(waiting.items())
    ]
    connection.execute(kernel.dialect.upsert(KEYS, _more), rows)
    # A statement of its own: it sees what was committed while the first one waited for the lock.
    locked = select(KEYS.c.ordering_key, KEYS.c.tail, KEYS.c.holder).where(
        KEYS.c.caller_id == caller_id, KEYS.c.ordering_key.in_(list(waiting))
    )
    found = {row.ordering_key: row for row in connection.execute(locked)}
    last = {key: found[key].tail - len(ids) for key, ids in waiting.items()}
    places = []
    for order_id, key in wanted:
        last[key] += 1
        places.append(Place(order_id, key, last[key], found[key].holder == order_id))
    return places


def _more(new: Any) -> dict[str, Any]:
    """Return how a key's row changes when orders come: the first of them, if no other has it."""
    return {"tail": KEYS.c.tail + new.tail, "holder": func.coalesce(KEYS.c.holder, new.holder)}


def told(key: str, place: int) -> dict[str, Any]:
    """Return what an order's JSON and its callback say of its key and its place."""
    return {"ordering_key": key, "sequence": place}


def has_key(gates: int | None) -> bool:
    """Tell whether an order has an ordering key, by the column ``gates`` of its row."""
    return bool((gates or 0) & Has.KEY)


def lock_turn(connection: Connection, order_id: str) -> Turn | None:
    """Lock the row of an order's key until the transaction's end; None where it has no key."""
    for caller_id, key, place in _OF_ORDER.rows(connection, {"order": order_id}):
        return None if key is None else lock_row(connection, caller_id, key, place)
    return None


def lock_row(connection: Connection, caller_id: int, key: str, place: int = 0) -> Turn | None:
    """Lock the row of a key until the transaction's end; ``place``: that of the order it is for."""
    for tail, holder in _LOCK.rows(connection, {"caller": caller_id, "key": key}):
        return Turn(caller_id, key, place, tail, holder)
    return None


def pass_on(
    connection: Connection,
    turn: Turn | None,
    ended: str,
    wake: Callable[[str], Sequence[str]],
) -> tuple[str, ...]:
    """Give the turn to the order of the key that waits longest; return it, if there is one.

    Unless the order that has ``ended`` in this transaction had no key, or not its turn. ``turn``:
    the key's row, which is locked. ``wake`` makes a waiting order pending, and returns it.
    """
    if turn is None or turn.holder != ended:
        return ()
    row = {"caller": turn.caller_id, "key": turn.ordering_key}
    woken: Sequence[str] = ()
    place = turn.place
    while not woken and place < turn.tail:
        found = _NEXT.rows(connection, row | {"after": place})
        if not found:
            break
        order_id, place = found[0]
        woken = wake(order_id)
    _PASS.execute(connection, row | {"next": woken[0] if woken else None})
    return tuple(woken)


def place_of(kernel: Kernel, order_id: str) -> Place | None:
    """Return the place of an order that is stored; None where it has no key."""
    with kernel.read() as connection:
        found = connection.execute(
            select(GATES.c.ordering_key, GATES.c.place, GATES.c.waiting_for).where(
                GATES.c.order_id == order_id
            )
        ).one_or_none()
    if found is None or found.ordering_key is None:
        return None
    return Place(order_id, found.ordering_key, found.place, found.waiting_for != ORDERING_KEY)


def lock_keys(connection: Connection, order_ids: Sequence[str]) -> list[tuple[int, str]]:
    """Lock the rows of the keys that these orders have; return the keys, each with its caller."""
    of_orders = (
        select(GATES.c.caller_id, GATES.c.ordering_key)
        .where(GATES.c.order_id.in_(order_ids), GATES.c.ordering_key.is_not(None))
        .distinct()
    )
    keys = sorted((row.caller_id, row.ordering_key) for row in connection.execute(of_orders))
    for caller_id, key in keys:
        _LOCK.rows(connection, {"caller": caller_id, "key": key})
    return keys


def forget_keys(connection: Connection, keys: Sequence[tuple[int, str]]) -> None:
    """Delete keys that no order has any more. Their rows have been locked by `lock_keys`."""
    has_orders = exists().where(
        GATES.c.caller_id == KEYS.c.caller_id, GATES.c.ordering_key == KEYS.c.ordering_key
    )
    for caller_id, key in keys:
        gone = delete(KEYS).where(
            KEYS.c.caller_id == caller_id,
            KEYS.c.ordering_key == key,
            KEYS.c.holder.is_(None),
            ~has_orders,
        )
        connection.execute(gone)


def turns_of(asked: Asked, order_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what is told of the keys and places of these orders, by their ids."""
    if not order_ids:
        return {}
    of_orders = select(GATES.c.order_id, GATES.c.ordering_key, GATES.c.place).where(
        GATES.c.order_id.in_(order_ids), GATES.c.ordering_key.is_not(None)
    )
    return {order_id: told(key, place) for order_id, key, place in asked.execute(of_orders)}


def position_of(asked: Asked, order_id: str) -> int | None:
    """Return how far an order is from its turn, 1 for the next one; None if it waits for no turn.

    Of the orders before it the `COUNTED` places next to it are looked at: it may be further away.
    """
    of_order = select(GATES).where(GATES.c.order_id == order_id)
    mine = asked.execute(of_order.where(GATES.c.waiting_for == ORDERING_KEY)).one_or_none()
    if mine is None:
        return None
    before = (
        by_index(select(GATES.c.waiting_for), GATES, _LINE)
        .where(
            GATES.c.caller_id == mine.caller_id,
            GATES.c.ordering_key == mine.ordering_key,
            GATES.c.place < mine.place,
        )
        .order_by(GATES.c.place.desc())
        .limit(COUNTED)
        .subquery()
    )
    waiting = select(func.count()).where(before.c.waiting_for == ORDERING_KEY)
    return 1 + (asked.execute(waiting).scalar_one() or 0)
