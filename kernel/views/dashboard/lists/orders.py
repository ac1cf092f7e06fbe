"""The list of orders: tabs by state, filters in the address, counts that narrow, pages, files."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Response, request
from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from kernel.db.ids import ID, time_of
from kernel.db.statements.keyset import Cursor
from kernel.db.states import DeliveryState, OrderState
from kernel.filters.counts import count_orders
from kernel.filters.fields import read_orders
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import settle
from kernel.insight.search import suggestions
from kernel.insight.search.export import ORDER_COLUMNS, order_rows
from kernel.insight.search.orders import Found, callbacks_of, find
from kernel.insight.search.spans import queue_seconds, run_seconds
from kernel.insight.state_counts import COUNTED, count_states
from kernel.orders.gates.waiting import gates_of
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, FormRefused, Frame
from kernel.views.dashboard.lists.files import as_file
from kernel.views.dashboard.lists.groups import groups_of
from kernel.views.dashboard.lists.query import Asked, read_address, tidied
from kernel.views.html.rendering import is_fragment
from kernel.views.http.sessions import Visitor


def order_pages(frame: Frame) -> None:
    """Add the list to ``frame``."""
    _listing(frame)
    _exporting(frame)
    _suggesting(frame)


def _listing(frame: Frame) -> None:
    def count() -> Mapping[str, int]:
        with frame.kernel.read() as connection:
            return count_states(connection)

    counts = SingleFlightCache[Mapping[str, int]](LIVE_SECONDS, share=LIVE_SHARE)

    @frame.page("/orders")
    def orders(visitor: Visitor) -> Response:
        if (tidy := tidied()) is not None:
            return tidy
        now = frame.kernel.clock.now()
        with frame.kernel.read() as connection:
            asked = read_address(connection, now, read_orders)
            wanted = None if asked.wrong else settle(connection, asked.wanted)
            found = _found(frame, connection, wanted)
            told = _told(connection, found, now)
            if not is_fragment():
                told |= _around(frame, connection, asked, wanted)
        return frame.render(
            "dashboard/lists/orders.html",
            asked=asked,
            found=found,
            states=list(OrderState),
            counts=counts.get(count),
            counted=COUNTED,
            **told,
        )


def _found(frame: Frame, connection: Connection, wanted: OrderFilter | None) -> Found:
    if wanted is None:
        return Found([])
    return find(connection, wanted, _cursor(), budget=frame.limits.search)


def _told(connection: Connection, found: Found, now: datetime) -> dict[str, Any]:
    """Return what the rows of a page say beside their orders."""
    orders = found.orders
    return {
        "gates": gates_of(connection, orders),
        "callbacks": callbacks_of(connection, [order.id for order in orders]),
        "queued": {order.id: queue_seconds(order, now) for order in orders},
        "ran": {order.id: run_seconds(order, now) for order in orders},
        "newer": _written(found.newer),
        "older": _written(found.older),
        "looked_back_to": _looked_back_to(found),
    }


def _around(
    frame: Frame, connection: Connection, asked: Asked[OrderFilter], wanted: OrderFilter | None
) -> dict[str, Any]:
    """Return what stands around the rows: fields with what they may hold, and counts."""
    total = None if wanted is None else count_orders(connection, wanted, frame.limits.counting)
    return {
        "total": total,
        "groups": [] if total is None else groups_of(total, asked),
        "tags": sorted({*suggestions.tags(connection), *frame.kernel.handlers}),
        "receivers": suggestions.receivers(connection),
        "callback_states": list(DeliveryState),
    }


def _exporting(frame: Frame) -> None:
    @frame.page("/orders/export")
    def export_orders(visitor: Visitor) -> Response:
        with frame.kernel.read() as connection:
            asked = read_address(connection, frame.kernel.clock.now(), read_orders)
        if asked.wrong:
            raise FormRefused.by_field(asked.wrong)
        return as_file("orders", ORDER_COLUMNS, order_rows(frame.kernel, asked.wanted))


def _suggesting(frame: Frame) -> None:
    @frame.page("/suggestions")
    def suggested(visitor: Visitor) -> Response:
        field = request.args.get("of", "")
        if not is_fragment() or field not in suggestions.SUGGESTED:
            raise NotFound
        text = request.args.get(field, "").strip()
        with frame.kernel.read() as connection:
            found = suggestions.suggest(connection, field, text)
        return frame.render("dashboard/lists/suggestions.html", found=found)


def _cursor() -> Cursor | None:
    """Read where the page begins; what is no id begins at the newest."""
    for name in ("before", "after"):
        given = request.args.get(name, "")
        if ID.fullmatch(given):
            return Cursor((given,), up=name == "after")
    return None


def _written(cursor: Cursor | None) -> str | None:
    """Write a cursor for an address; which way it goes is the field's to say."""
    return None if cursor is None else str(cursor.key[0])


def _looked_back_to(found: Found) -> datetime | None:
    """Return how far back a search came that stopped before its end."""
    if found.looked_at is None or found.older is None:
        return None
    return time_of(found.older.key[0])
