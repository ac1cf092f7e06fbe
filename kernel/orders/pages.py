"""Pages of orders, newest first, each read from the end of an index however many orders there are.

A lane is all orders of one state and one select_tag, of one caller or of all callers: an index has
them in the order of their ids. When a filter leaves the state or the tag open, the page is put
together from the newest of each lane. There are seven states, and few tags. With a reference, an
ordering key, or what orders wait for, a lane is the orders of one caller that have it: further
filters look at each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Subquery, exists, select, union_all
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.ids import ID
from kernel.db.statements.keyset import Key, Walk, id_range
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import OrderState
from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS, REFERENCES, Order
from kernel.errors import NotFound
from kernel.filters.orders import ANYTHING, LAST
from kernel.filters.plans import KEY_INDEX, PARENT_INDEX, REFERENCE_INDEX, WAITING_INDEX

# What a page is asked of.
Asked = Session | Connection
PAGE = 50
MAX_PAGE = 200
# What `order_summary` shows: no column that may be large.
_TIMES = ("created_at", "started_at", "finished_at", "not_before", "not_after")
_PROGRESS = ("progress_current", "progress_total", "progress_note")
_NAMES = (
    *("id", "reference", "select_tag", "state", "priority", "callback_url"),
    *("caller_id", "run_after", *_TIMES, *_PROGRESS, "error_code", "message", "gates", "runner"),
)
SUMMARY = tuple(ORDERS.c[name] for name in _NAMES)
_SUMMARY = select(*SUMMARY)


@dataclass(frozen=True, slots=True)
class LaneFilter:
    """What lanes answer of a filter (`kernel.filters.orders`), and where the page begins.

    ``before`` is the last id of the previous page.

    Times are those of the orders' acceptance: ids are made with it, so they are ranges of ids.
    """

    state: str | None = None
    select_tag: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    limit: int = PAGE
    reference: str | None = None
    ordering_key: str | None = None
    # The children of this order.
    batch: str | None = None
    # These orders alone, as far as they fit the rest.
    ids: tuple[str, ...] | None = None
    # The tags that may be seen; None for all.
    tags: frozenset[str] | None = None
    # Those that wait for this alone, as `Gate.waiting_for` has it; `ANYTHING` for all that wait.
    waiting: str | None = None
    # Pending ones are those, too, that wait: callers are told no other state of them.
    as_callers_see: bool = False

    @property
    def states(self) -> tuple[str, ...]:
        """The states that fit; empty when any does."""
        if self.waiting is not None:
            waits = self.state in (None, OrderState.WAITING) or self.has_waiting
            return (OrderState.WAITING,) if waits else ("",)
        if self.has_waiting:
            return (OrderState.PENDING, OrderState.WAITING)
        return () if self.state is None else (self.state,)

    @property
    def has_waiting(self) -> bool:
        """Whether its state is one that callers are told of orders that wait as well."""
        return self.as_callers_see and self.state == OrderState.PENDING

    @property
    def edge(self) -> Key | None:
        """The key that the page begins below."""
        return None if self.before is None else (self.before,)


def list_orders(
    session: Asked, caller_id: int | None, wanted: LaneFilter, most: int = MAX_PAGE
) -> Sequence[Row[Any]]:
    """Return up to ``wanted.limit`` orders and ``most`` at most, newest first, for `order_summary`.

    Those of one caller, or of all callers when ``caller_id`` is None.
    """
    limit, edge = min(wanted.limit, most), wanted.edge
    if wanted.ids is not None:
        return session.execute(_by_ids(caller_id, wanted).limit(limit)).all()
    if wanted.batch is not None:
        newest = [_children(caller_id, wanted, limit)]
    elif wanted.ordering_key is not None:
        newest = _named(session, caller_id, wanted, limit, GATES.c.ordering_key)
    elif wanted.reference is not None:
        newest = _named(session, caller_id, wanted, limit, REFERENCES.c.reference)
    elif wanted.waiting not in (None, ANYTHING):
        newest = _awaiting(session, caller_id, wanted, limit)
    else:
        lanes = _lanes(session, caller_id, wanted)
        if not lanes:
            return []
        if len(lanes) == 1:
            return session.execute(lanes[0].along(_SUMMARY, edge).limit(limit)).all()
        newest = [lane.along(select(ORDERS.c.id), edge).limit(limit).subquery() for lane in lanes]
    if not newest:
        return []
    together = union_all(*(select(one) for one in newest)).subquery()
    page = select(together).order_by(together.c.id.desc()).limit(limit).subquery()
    found = _SUMMARY.join(page, page.c.id == ORDERS.c.id).order_by(page.c.id.desc())
    return session.execute(found).all()


def _by_ids(caller_id: int | None, wanted: LaneFilter) -> Any:
    """Return what asks for those of the named orders that fit the filter."""
    fitting = [*_owned(caller_id, wanted), *_fitting(wanted)]
    if wanted.before is not None:
        fitting.append(ORDERS.c.id < wanted.before)
    span = id_range(ORDERS.c.id, wanted.since, wanted.until)
    if wanted.ordering_key is not None:
        keyed = select(GATES.c.order_id).where(GATES.c.order_id.in_(wanted.ids or ()))
        fitting.append(ORDERS.c.id.in_(keyed.where(GATES.c.ordering_key == wanted.ordering_key)))
    if wanted.batch is not None:
        parents = select(GATES.c.order_id).where(GATES.c.parent_id == wanted.batch)
        fitting.append(ORDERS.c.id.in_(parents))
    found = _SUMMARY.where(ORDERS.c.id.in_(wanted.ids or ()), *fitting, *span)
    return found.order_by(ORDERS.c.id.desc())


def _children(caller_id: int | None, wanted: LaneFilter, limit: int) -> Subquery:
    """Return the newest children of an order that fit the filter; each is looked at."""
    fitting, key = [*_owned(caller_id, wanted), *_fitting(wanted)], GATES.c.order_id
    if wanted.ordering_key is not None:
        fitting.append(GATES.c.ordering_key == wanted.ordering_key)
    span = id_range(key, wanted.since, wanted.until)
    lane = Walk(GATES, PARENT_INDEX, [key], [GATES.c.parent_id == wanted.batch, *span])
    found = select(ORDERS.c.id).join_from(GATES, ORDERS, ORDERS.c.id == key)
    return lane.along(found.where(*fitting), wanted.edge).limit(limit).subquery()


def _named(
    session: Asked, caller_id: int | None, wanted: LaneFilter, limit: int, column: Any
) -> list[Subquery]:
    """Return the newest orders of each caller that have the name and fit the filter.

    ``column``: where the name stands that finds them, their reference or their ordering key.
    """
    table, by_key = column.table, column.table is GATES
    named = column == (wanted.ordering_key if by_key else wanted.reference)
    callers = [caller_id]
    if caller_id is None:
        index = (column, table.c.caller_id)
        callers = [row.caller_id for row in session.execute(skip_scan(index).where(named))]
    fitting = _fitting(wanted)
    if wanted.select_tag is not None:
        fitting.append(ORDERS.c.select_tag == wanted.select_tag)
    if by_key and wanted.reference is not None:
        fitting.append(ORDERS.c.reference == wanted.reference)
    key = table.c.order_id
    span = id_range(key, wanted.since, wanted.until)
    along = KEY_INDEX if by_key else REFERENCE_INDEX
    lanes = [Walk(table, along, [key], [named, table.c.caller_id == one, *span]) for one in callers]
    found = select(ORDERS.c.id).join_from(table, ORDERS, ORDERS.c.id == key).where(*fitting)
    return [lane.along(found, wanted.edge).limit(limit).subquery() for lane in lanes]


def _owned(caller_id: int | None, wanted: LaneFilter) -> list[ColumnElement[bool]]:
    given = {"caller_id": caller_id, "select_tag": wanted.select_tag, "reference": wanted.reference}
    return [ORDERS.c[name] == value for name, value in given.items() if value is not None]


def _fitting(wanted: LaneFilter) -> list[ColumnElement[bool]]:
    """Return what is left of a filter where an index has found a few orders."""
    found: list[ColumnElement[bool]] = []
    if wanted.states:
        found.append(ORDERS.c.state.in_(wanted.states))
    if wanted.waiting not in (None, ANYTHING):
        gates = GATES.alias()  # the same rows may be what the orders are found by
        waits = (gates.c.order_id == ORDERS.c.id, gates.c.waiting_for == wanted.waiting)
        found.append(exists().where(*waits))
    if wanted.tags is not None:
        found.append(ORDERS.c.select_tag.in_(sorted(wanted.tags)))
    return found


def _awaiting(
    session: Asked, caller_id: int | None, wanted: LaneFilter, limit: int
) -> list[Subquery]:
    """Return the newest orders of each caller that wait for one thing and fit the filter."""
    callers = [caller_id]
    if caller_id is None:
        every = skip_scan((GATES.c.caller_id,)).where(GATES.c.caller_id > 0)
        callers = [row.caller_id for row in session.execute(every)]
    fitting = _fitting(replace(wanted, waiting=ANYTHING))
    if wanted.select_tag is not None:
        fitting.append(ORDERS.c.select_tag == wanted.select_tag)
    key, awaited = GATES.c.order_id, GATES.c.waiting_for == wanted.waiting
    span = id_range(key, wanted.since, wanted.until)
    lanes = [
        Walk(GATES, WAITING_INDEX, [key], [GATES.c.caller_id == one, awaited, *span])
        for one in callers
    ]
    found = select(ORDERS.c.id).join_from(GATES, ORDERS, ORDERS.c.id == key).where(*fitting)
    return [lane.along(found, wanted.edge).limit(limit).subquery() for lane in lanes]


def orders_by_id(session: Asked, ids: Sequence[str]) -> Sequence[Row[Any]]:
    """Return these orders, newest first, for `order_summary`."""
    found = _SUMMARY.where(ORDERS.c.id.in_(ids)).order_by(ORDERS.c.id.desc())
    return session.execute(found).all() if ids else []


def with_prefix(session: Asked, prefix: str, limit: int) -> Sequence[str]:
    """Return the ids of orders whose reference begins with ``prefix``, in the references' order."""
    within = (REFERENCES.c.reference >= prefix, REFERENCES.c.reference < prefix + LAST)
    found = by_index(select(REFERENCES.c.order_id), REFERENCES, REFERENCE_INDEX).where(*within)
    return session.scalars(found.order_by(REFERENCES.c.reference).limit(limit)).all()


def _lanes(session: Asked, caller_id: int | None, wanted: LaneFilter) -> list[Walk]:
    """Return the lanes of a filter. When it leaves both state and tag open, one lane has all."""
    owned = [] if caller_id is None else [ORDERS.c.caller_id == caller_id]
    span = id_range(ORDERS.c.id, wanted.since, wanted.until)
    tags: Sequence[str]
    if wanted.tags is not None:  # a lane for each of them, and none for other tags
        one = wanted.select_tag
        tags = sorted(wanted.tags if one is None else wanted.tags & {one})
        return _lanes_of(owned, wanted.states, tags, span)
    if not wanted.states and wanted.select_tag is None:
        return [_lane("ix_kernel_orders_caller_id_id" if owned else "PRIMARY", *owned, *span)]
    if wanted.select_tag is None and not owned:
        index = "ix_kernel_orders_state_id"
        return [_lane(index, ORDERS.c.state == one, *span) for one in wanted.states]
    tags = [wanted.select_tag] if wanted.select_tag else _tags(session, owned, wanted.states)
    return _lanes_of(owned, wanted.states, tags, span)


def _lanes_of(
    owned: list[ColumnElement[bool]],
    states: Sequence[str],
    tags: Sequence[str],
    span: Sequence[ColumnElement[bool]],
) -> list[Walk]:
    index = f"ix_kernel_orders_{'caller_id_' if owned else ''}state_select_tag_id"
    return [
        _lane(index, *owned, ORDERS.c.state == state, ORDERS.c.select_tag == tag, *span)
        for state, tag in product(states or list(OrderState), tags)
    ]


def _lane(index: str, *where: ColumnElement[bool]) -> Walk:
    return Walk(ORDERS, index, [ORDERS.c.id], where)


def _tags(session: Asked, owned: list[ColumnElement[bool]], states: Sequence[str]) -> Sequence[str]:
    """Return the kinds that a caller's orders of some states have, by jumps through the index."""
    index = (ORDERS.c.caller_id, ORDERS.c.state, ORDERS.c.select_tag)
    kinds = [
        session.execute(skip_scan(index).where(*owned, ORDERS.c.state == one)) for one in states
    ]
    return list(dict.fromkeys(row.select_tag for found in kinds for row in found))


def get_order(
    session: Session, caller_id: int | None, order_id: str, tags: frozenset[str] | None = None
) -> Order:
    """Return the caller's order (any caller's when ``caller_id`` is None).

    ``tags``: those whose orders may be seen; None for all. Raises NotFound for an unknown id, for
    another caller's and for one of another tag, alike.
    """
    order = session.get(Order, order_id) if ID.fullmatch(order_id) else None
    seen = order is not None and (tags is None or order.select_tag in tags)
    if order is None or not seen or caller_id not in (None, order.caller_id):
        raise NotFound(f"there is no order {order_id[:64]}")
    return order
