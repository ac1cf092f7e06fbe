"""All orders and callbacks of a filter, a batch at a time: each batch in a short transaction.

What is made meanwhile is left out, for rows are read from the newest down.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.orm import Session

from kernel.db.statements.keyset import Cursor
from kernel.db.states import OrderState
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.counts import origin
from kernel.filters.fields import caller_names
from kernel.filters.orders import OrderFilter
from kernel.filters.plans import settle
from kernel.formats.envelope import rfc3339
from kernel.insight.search.deliveries import page
from kernel.insight.search.listing import PATIENT, list_page
from kernel.insight.search.orders import callbacks_of
from kernel.insight.search.spans import queue_seconds, run_seconds
from kernel.orders.pages import MAX_PAGE
from kernel.runtime.kernel import Kernel

ORDER_COLUMNS = (
    *("order_id", "reference", "select_tag", "caller", "state", "error", "message", "callback"),
    *("callback_to", "created_at", "started_at", "finished_at", "queue_seconds", "run_seconds"),
    *("progress_current", "progress_total"),
)
CALLBACK_COLUMNS = (
    *("delivery_id", "order_id", "reference", "caller", "state", "died_of", "origin", "attempts"),
    *("last_status", "last_reason", "created_at", "next_attempt_at", "finished_at"),
)
Batch = list[dict[str, Any]]


def order_rows(kernel: Kernel, wanted: OrderFilter) -> Iterator[Batch]:
    """Yield the orders of a filter, the newest first, with the members of `ORDER_COLUMNS`.

    Their states are those that callers are told where the filter is `as_callers_see`.
    """
    before: str | None = None
    with kernel.read_session() as session:
        callers, wanted = caller_names(session), settle(session, wanted)
    while True:
        with kernel.read_session() as session:
            found = list_page(session, wanted, before, MAX_PAGE, PATIENT)
            batch = _orders(kernel, session, found.orders, callers)
        if wanted.as_callers_see:
            batch = [one | {"state": OrderState(one["state"]).on_wire.value} for one in batch]
        if batch:
            yield batch
        if found.next is None:
            return
        before = found.next


def _orders(kernel: Kernel, session: Session, rows: Any, callers: Mapping[int, str]) -> Batch:
    callbacks, now = callbacks_of(session, [row.id for row in rows]), kernel.clock.now()
    return [
        {
            "order_id": row.id,
            "reference": row.reference,
            "select_tag": row.select_tag,
            "caller": callers.get(row.caller_id),
            "state": OrderState(row.state).value,
            "error": row.error_code,
            "message": row.message,
            "callback": callbacks[row.id].state if row.id in callbacks else None,
            "callback_to": origin(row.callback_url) or None,
            "created_at": rfc3339(row.created_at),
            "started_at": rfc3339(row.started_at),
            "finished_at": rfc3339(row.finished_at),
            "queue_seconds": queue_seconds(row, now),
            "run_seconds": run_seconds(row, now),
            "progress_current": row.progress_current,
            "progress_total": row.progress_total,
        }
        for row in rows
    ]


def callback_rows(kernel: Kernel, wanted: CallbackFilter) -> Iterator[Batch]:
    """Yield the callbacks of a filter, with the members of `CALLBACK_COLUMNS`."""
    below: Cursor | None = None
    with kernel.read_session() as session:
        callers = caller_names(session)
    while True:
        with kernel.read_session() as session:
            found = page(session, wanted, below, MAX_PAGE, PATIENT)
        batch = [_callback(row, found, callers) for row in found.rows]
        if batch:
            yield batch
        if found.next is None:
            return
        below = found.next


def _callback(row: Any, found: Any, callers: Mapping[int, str]) -> dict[str, Any]:
    last = found.latest.get(row.id)
    return {
        "delivery_id": row.id,
        "order_id": row.order_id,
        "reference": found.references.get(row.order_id),
        "caller": callers.get(row.caller_id),
        "state": row.state,
        "died_of": row.died_of,
        "origin": row.origin,
        "attempts": row.attempt,
        "last_status": None if last is None else last.status,
        "last_reason": None if last is None else last.reason,
        "created_at": rfc3339(row.created_at),
        "next_attempt_at": None if row.finished_at else rfc3339(row.next_attempt_at),
        "finished_at": rfc3339(row.finished_at),
    }
