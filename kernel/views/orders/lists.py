"""Lists of orders and of callbacks by filter: pages, counts, and all of them as a file."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flask import Response, stream_with_context

from kernel.callers.identity import Scope
from kernel.callers.people.roles import Role
from kernel.db.statements.keyset import Budget
from kernel.errors import InvalidQuery
from kernel.filters.counts import count_callbacks, count_orders
from kernel.filters.fields import caller_names
from kernel.filters.plans import settle
from kernel.formats.envelope import envelope
from kernel.formats.order_request import problem
from kernel.formats.representations import delivery_data, order_summary
from kernel.formats.texts import text
from kernel.insight.search.deliveries import page, read_cursor, written_cursor
from kernel.insight.search.export import (
    CALLBACK_COLUMNS,
    ORDER_COLUMNS,
    callback_rows,
    order_rows,
)
from kernel.insight.search.listing import list_page
from kernel.insight.search.orders import callbacks_of
from kernel.insight.search.tables import PIECES, TYPES, Row
from kernel.orders.gates.shown import gates_shown
from kernel.runtime.kernel import Kernel
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import read_query
from kernel.views.orders.queries import (
    CallbackExport,
    CallbackListQuery,
    CallbackQuery,
    ListQuery,
    OrderExport,
    OrderQuery,
)

# How long one count may take.
COUNTING = Budget(first=500, largest=8000, seconds=1.0)


class ListViews:
    """The views, bound to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def show_orders(self) -> Response:
        """GET /v1/orders: the caller's own, newest first, in pages."""
        who, asked = identity(self.kernel, Scope.READ), read_query(ListQuery)
        with self.kernel.read_session() as session:
            wanted = asked.filter(self.kernel, session, who)
            found = list_page(session, wanted, asked.cursor, asked.limit)
            gates = gates_shown(session, found.orders)
            callbacks = callbacks_of(session, [one.id for one in found.orders])
            items = [order_summary(one, gates.get(one.id)) for one in found.orders]
        for item in items:
            owed = callbacks.get(item["order_id"])
            item["callback"] = None if owed is None else owed.state
        return self._success({"orders": items, "next_cursor": found.next})

    def show_callbacks(self) -> Response:
        """GET /v1/deliveries: the caller's own, newest first, in pages."""
        who, asked = identity(self.kernel, Scope.READ), read_query(CallbackListQuery)
        with self.kernel.read_session() as session:
            wanted = asked.filter(self.kernel, session, who)
            try:
                below = read_cursor(asked.cursor, wanted)
            except ValueError as error:
                raise InvalidQuery(errors=[problem("/cursor", "invalid", str(error))]) from None
            found = page(session, wanted, below, asked.limit)
        items = [
            delivery_data(row)
            | {"order_id": row.order_id, "reference": found.references.get(row.order_id)}
            | {"origin": row.origin}
            for row in found.rows
        ]
        onward = None if found.next is None else written_cursor(found.next)
        return self._success({"deliveries": items, "next_cursor": onward})

    def count_orders(self) -> Response:
        """GET /v1/orders/counts: how many, by error, tag, caller and receiver."""
        who, asked = identity(self.kernel, Role.VIEWER), read_query(OrderQuery)
        with self.kernel.read_session() as session:
            wanted = settle(session, asked.filter(self.kernel, session, who))
            counts = count_orders(session, wanted, COUNTING)
            data = counts.data(caller_names(session))
        return self._success(data)

    def count_callbacks(self) -> Response:
        """GET /v1/deliveries/counts: how many, by why they died, tag, caller and receiver."""
        who, asked = identity(self.kernel, Role.VIEWER), read_query(CallbackQuery)
        with self.kernel.read_session() as session:
            wanted = asked.filter(self.kernel, session, who)
            counts = count_callbacks(session, wanted, COUNTING)
            data = counts.data(caller_names(session))
        return self._success(data)

    def export_orders(self) -> Response:
        """GET /v1/orders/export: all of them, as CSV or JSON."""
        who, asked = identity(self.kernel, Role.VIEWER), read_query(OrderExport)
        with self.kernel.read_session() as session:
            wanted = asked.filter(self.kernel, session, who)
        return streamed(asked.format, "orders", ORDER_COLUMNS, order_rows(self.kernel, wanted))

    def export_callbacks(self) -> Response:
        """GET /v1/deliveries/export: all of them, as CSV or JSON."""
        who, asked = identity(self.kernel, Role.VIEWER), read_query(CallbackExport)
        with self.kernel.read_session() as session:
            wanted = asked.filter(self.kernel, session, who)
        rows = callback_rows(self.kernel, wanted)
        return streamed(asked.format, "callbacks", CALLBACK_COLUMNS, rows)

    def _success(self, data: dict[str, Any]) -> Response:
        language = self.kernel.settings.language
        return json_response(200, envelope(0, text("success", language), data))


def streamed(
    kind: str,
    name: str,
    columns: Sequence[str],
    batches: Iterable[Sequence[Row]],
    before: str = "",
) -> Response:
    """Answer with a file of ``kind`` (csv, json) that is written while it is read.

    ``before`` stands in front of it.
    """
    pieces = PIECES[kind](columns, batches)

    def written() -> Iterator[bytes]:
        yield before.encode()
        for piece in pieces:
            yield piece.encode()

    headers = {
        "Content-Disposition": f'attachment; filename="{name}.{kind}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(stream_with_context(written()), content_type=_type(kind), headers=headers)


def _type(kind: str) -> str:
    return f"{TYPES[kind]}; charset=utf-8"
