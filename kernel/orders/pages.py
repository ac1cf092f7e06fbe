"""Pages of orders, newest first, each read from the end of an index however many orders there are.

A lane is all orders of one state and one select_tag, of one caller or of all callers: an index has
them in the order of their ids. When a filter leaves the state or the tag open, the page is put
together from the newest of each lane. There are six states, and few tags.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Row, select, union_all
from sqlalchemy.orm import Session

from kernel.db.ids import ID
from kernel.db.statements.keyset import Key, Walk, id_range
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import OrderState
from kernel.db.tables.orders import ORDERS, Order
from kernel.errors import NotFound

PAGE = 50
MAX_PAGE = 200
# What `order_summary` shows: no column that may be large.
_TIMES = ("created_at", "started_at", "finished_at")
_PROGRESS = ("progress_current", "progress_total", "progress_note")
_NAMES = ("id", "select_tag", "state", "callback_url", *_TIMES, *_PROGRESS, "error_code", "message")
_SUMMARY = select(*(ORDERS.c[name] for name in _NAMES))


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders to list, newest first; ``before`` is the last id of the previous page.

    Times are those of the orders' acceptance: ids are made with it, so they are ranges of ids.
    """

    state: str | None = None
    select_tag: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    limit: int = PAGE

    @property
    def edge(self) -> Key | None:
        """The key that the page begins below."""
        return None if self.before is None else (self.before,)


def list_orders(
    session: Session, caller_id: int | None, wanted: OrderFilter, most: int = MAX_PAGE
) -> Sequence[Row[Any]]:
    """Return up to ``wanted.limit`` orders and ``most`` at most, newest first, for `order_summary`.

    Those of one caller, or of all callers when ``caller_id`` is None.
    """
    limit, edge = min(wanted.limit, most), wanted.edge
    lanes = _lanes(session, caller_id, wanted)
    if len(lanes) == 1:
        return session.execute(lanes[0].along(_SUMMARY, edge).limit(limit)).all()
    newest = [lane.along(select(ORDERS.c.id), edge).limit(limit).subquery() for lane in lanes]
    if not newest:
        return []
    together = union_all(*(select(one) for one in newest)).subquery()
    page = select(together).order_by(together.c.id.desc()).limit(limit).subquery()
    found = _SUMMARY.join(page, page.c.id == ORDERS.c.id).order_by(page.c.id.desc())
    return session.execute(found).all()


def _lanes(session: Session, caller_id: int | None, wanted: OrderFilter) -> list[Walk]:
    """Return the lanes of a filter. When it leaves both state and tag open, one lane has all."""
    owned = [] if caller_id is None else [ORDERS.c.caller_id == caller_id]
    span = id_range(ORDERS.c.id, wanted.since, wanted.until)
    if wanted.state is None and wanted.select_tag is None:
        return [_lane("ix_kernel_orders_caller_id_id" if owned else "PRIMARY", *owned, *span)]
    if wanted.select_tag is None and not owned:
        return [_lane("ix_kernel_orders_state_id", ORDERS.c.state == wanted.state, *span)]
    states = list(OrderState) if wanted.state is None else [wanted.state]
    tags = [wanted.select_tag] if wanted.select_tag else _tags(session, owned, wanted.state)
    index = f"ix_kernel_orders_{'caller_id_' if owned else ''}state_select_tag_id"
    return [
        _lane(index, *owned, ORDERS.c.state == state, ORDERS.c.select_tag == tag, *span)
        for state, tag in product(states, tags)
    ]


def _lane(index: str, *where: ColumnElement[bool]) -> Walk:
    return Walk(ORDERS, index, [ORDERS.c.id], where)


def _tags(session: Session, owned: list[ColumnElement[bool]], state: str | None) -> Sequence[str]:
    """Return the kinds that a caller's orders of a state have, by jumps through the index."""
    index = (ORDERS.c.caller_id, ORDERS.c.state, ORDERS.c.select_tag)
    found = session.execute(skip_scan(index).where(*owned, ORDERS.c.state == state))
    return [row.select_tag for row in found]


def get_order(session: Session, caller_id: int | None, order_id: str) -> Order:
    """Return the caller's order (any caller's when ``caller_id`` is None).

    Raises NotFound for an unknown id and for another caller's, alike.
    """
    order = session.get(Order, order_id) if ID.fullmatch(order_id) else None
    if order is None or caller_id not in (None, order.caller_id):
        raise NotFound(f"there is no order {order_id[:64]}")
    return order
