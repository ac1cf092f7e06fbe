"""Events: what one order is told from outside, by name. Kept, and given to each of its runs.

Telling locks the order's row, inserts the event and wakes the order, in one transaction. Going to
wait locks the same row and looks for events afterwards: neither can miss the other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.db.statements.prepared import Prepared
from kernel.db.states import OrderState
from kernel.db.tables.gates import EVENTS, GATES, Has
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import retrying
from kernel.errors import Conflict, IdempotencyKeyReused, InvalidOrder, NotFound
from kernel.formats.envelope import encode
from kernel.formats.order_request import problem
from kernel.handlers import Event
from kernel.handlers.events import awaited_events
from kernel.orders.pages import get_order
from kernel.orders.transitions import wake
from kernel.runtime.kernel import Kernel

# Events of one order, each with data of at most as many bytes: a run is given all of them.
MAX_EVENTS = 100
MAX_DATA_BYTES = 65_536
# What a told_key begins with, by whose key it is.
BY_KEY, BY_LINK = "key:", "link:"
_SHOWN = ("id", "name", "data", "told_by", "told_at", "is_used")
_COLUMNS = tuple(EVENTS.c[name] for name in _SHOWN)
_OF_ORDER = select(*_COLUMNS).where(EVENTS.c.order_id == bindparam("order")).order_by(EVENTS.c.id)
_GIVEN = Prepared(_OF_ORDER)


class Told(NamedTuple):
    """An event as it is told: ``data`` is the JSON text of an object.

    ``key`` makes telling it again a repeat; see `EventRow.told_key`. None: there is none.
    """

    name: str
    data: str = "{}"
    key: str | None = None


def as_data(given: Mapping[str, Any]) -> str:
    """Return the data of an event as `Told` takes them. Raises InvalidOrder for too many bytes."""
    data = encode(given)
    if len(data) > MAX_DATA_BYTES:
        too_long = problem("/data", "too_long", f"at most {MAX_DATA_BYTES} bytes of JSON")
        raise InvalidOrder("the request is not valid", errors=[too_long])
    return data.decode()


@dataclass(frozen=True, slots=True)
class Telling:
    """An event that is stored, and whether it was before; ``woken``: the order, if it goes on.

    ``hints``: the order, if it is to be hinted. So is one that is pending, for a claim that has
    looked at it before the event came leaves it.
    """

    event: Row[Any]
    replayed: bool = False
    woken: Sequence[str] = ()
    hints: Sequence[str] = ()


def tell(
    kernel: Kernel,
    order_id: str,
    told: Told,
    *,
    caller_id: int | None = None,
    tags: frozenset[str] | None = None,
    by: By = BY_SYSTEM,
) -> Telling:
    """Store an event of an order, and have the order go on if that is what it waits for.

    A repeat (the same key and event) is answered with the first one, also once the order has
    ended. ``caller_id`` and ``tags``: as of `get_order`. The caller hints ``hints`` afterwards.
    Raises NotFound, Conflict for an order that has ended or has as many events as it may,
    IdempotencyKeyReused, Unavailable.
    """
    return retrying(lambda: _tell(kernel, order_id, told, (caller_id, tags), by))


def _tell(
    kernel: Kernel,
    order_id: str,
    told: Told,
    sees: tuple[int | None, frozenset[str] | None],
    by: By,
) -> Telling:
    with kernel.write_session() as session:
        get_order(session, sees[0], order_id, sees[1])
        locked = select(ORDERS.c.state, ORDERS.c.gates).where(ORDERS.c.id == order_id)
        order = session.execute(locked.with_for_update()).one_or_none()
        if order is None:
            raise NotFound(f"there is no order {order_id[:64]}")
        if told.key is not None and (known := _repeated(session, order_id, told)) is not None:
            return Telling(known, replayed=True)
        _refuse(session, order_id, OrderState(order.state))
        is_awaited = order.state == OrderState.WAITING and _is_awaited(session, order_id, told)
        event = _stored(kernel, session, order_id, told, by, is_used=is_awaited)
        hints: Sequence[str] = ()
        if not (order.gates or 0) & Has.EVENTS:
            hints = [order_id] if order.state == OrderState.PENDING else hints
            noted = update(ORDERS).where(ORDERS.c.id == order_id)
            session.execute(noted.values(gates=(order.gates or 0) | int(Has.EVENTS)))
        woken = tuple(wake(kernel, session, [order_id])) if is_awaited else ()
        by.record(session, "order.tell", f"order {order_id}", after={"event": told.name})
        return Telling(event, woken=woken, hints=woken or hints)


def _repeated(session: Session, order_id: str, told: Told) -> Row[Any] | None:
    """Return the event that was told with this key. Raises IdempotencyKeyReused for another."""
    found = select(*_COLUMNS).where(EVENTS.c.order_id == order_id, EVENTS.c.told_key == told.key)
    known = session.execute(found).one_or_none()
    if known is not None and not _is_same(known, told):
        raise IdempotencyKeyReused("this key told another event of this order")
    return known


def _is_same(known: Row[Any], told: Told) -> bool:
    """Tell whether an event is told again: its members may come in another order, as an order's."""
    return known.name == told.name and _sorted(known.data) == _sorted(told.data)


def _sorted(data: str) -> str:
    """Return JSON as text to compare by: of values, 1 and 1.0 and true would be equal."""
    return json.dumps(json.loads(data), sort_keys=True)


def _refuse(session: Session, order_id: str, state: OrderState) -> None:
    """Raise Conflict for an order that takes no more events."""
    if state.is_final:
        raise Conflict(f"the order has ended: {state}", state=state)
    of_order = select(func.count()).select_from(EVENTS).where(EVENTS.c.order_id == order_id)
    if (session.scalar(of_order) or 0) >= MAX_EVENTS:
        raise Conflict(f"an order is told {MAX_EVENTS} events at most")


def _is_awaited(session: Session, order_id: str, told: Told) -> bool:
    what = session.scalar(select(GATES.c.waiting_for).where(GATES.c.order_id == order_id))
    return told.name in awaited_events(what)


def _stored(
    kernel: Kernel, session: Session, order_id: str, told: Told, by: By, *, is_used: bool
) -> Row[Any]:
    row: dict[str, Any] = {
        "order_id": order_id,
        "name": told.name,
        "data": told.data,
        "told_key": told.key,
    }
    row |= {"told_by": by.who, "is_used": is_used}
    made = session.execute(insert(EVENTS).values(**row, told_at=kernel.clock.sql()))
    (event_id,) = made.inserted_primary_key  # type: ignore[attr-defined]
    return session.execute(select(*_COLUMNS).where(EVENTS.c.id == event_id)).one()


def take_early(session: Session, order_id: str, what: str) -> bool:
    """Tell whether an event that ``what`` names is there and has ended no wait; it ends this one.

    The first of them: the others are left to the waits after it, as those are that come while an
    order does not wait. The order's row is locked, in the transaction in which it goes to wait.
    """
    early = session.scalar(
        select(EVENTS.c.id)
        .where(
            EVENTS.c.order_id == order_id,
            EVENTS.c.name.in_(awaited_events(what)),
            EVENTS.c.is_used.is_(False),
        )
        .order_by(EVENTS.c.id)
        .limit(1)
    )
    if early is not None:
        session.execute(update(EVENTS).where(EVENTS.c.id == early).values(is_used=True))
    return early is not None


def events_of(session: Session, order_id: str) -> Sequence[Row[Any]]:
    """Return what an order was told, in the order of telling."""
    return session.execute(_OF_ORDER, {"order": order_id}).all()


def given_events(connection: Connection, order_id: str) -> tuple[tuple[Event, ...], int]:
    """Return what an order was told, as its handler is given it; and how many have ended a wait."""
    rows = _GIVEN.rows(connection, {"order": order_id})
    events = tuple(Event(name, json.loads(data), by, at) for _, name, data, by, at, _ in rows)
    return events, sum(bool(row[-1]) for row in rows)
