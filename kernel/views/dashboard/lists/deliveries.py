"""Callbacks owed and sent: found by filter, counted, sent again one by one."""

from datetime import datetime
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from kernel.db.ids import time_of
from kernel.db.statements.keyset import Cursor
from kernel.db.states import DeliveryState
from kernel.delivery.redeliver import redeliver
from kernel.filters.callbacks import CallbackFilter
from kernel.filters.counts import count_callbacks
from kernel.filters.fields import read_callbacks
from kernel.insight.search import suggestions
from kernel.insight.search.deliveries import Page, cursor_of, page, written_cursor
from kernel.insight.search.export import CALLBACK_COLUMNS, callback_rows
from kernel.views.dashboard.frame import FormRefused, Frame
from kernel.views.dashboard.lists.files import as_file
from kernel.views.dashboard.lists.groups import groups_of
from kernel.views.dashboard.lists.query import Asked, read_address, tidied
from kernel.views.html.rendering import is_fragment
from kernel.views.http.sessions import Visitor

# Why callbacks are dead, as far as pages have words for it.
DIED_OF = ("gone", "client_errors", "deadline", "answer", "lookup", "template", "dropped")


def delivery_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    _listing(frame)
    _exporting(frame)


def _listing(frame: Frame) -> None:
    kernel = frame.kernel

    @frame.page("/deliveries")
    def deliveries(visitor: Visitor) -> Response:
        if (tidy := tidied()) is not None:
            return tidy
        with kernel.read_session() as session:
            asked, found, told = _asked(frame, session), None, dict[str, Any]()
            if not asked.wrong:
                below = cursor_of(request.args.get("before", ""))
                found = page(session, asked.wanted, below, frame.limits.deliveries)
            if not is_fragment():
                told = _around(frame, session, asked)
        return frame.render(
            "dashboard/lists/deliveries.html",
            asked=asked,
            found=found,
            looked_to=_looked_to(found),
            older=None if found is None or found.next is None else written_cursor(found.next),
            paged="before" in request.args,
            states=list(DeliveryState),
            **told,
        )

    @frame.change("/deliveries/<delivery_id>/redeliver")
    def redeliver_delivery(visitor: Visitor, delivery_id: str) -> Response:
        changed = redeliver(kernel, None, delivery_id, by=frame.by(visitor))
        said = "done_redelivered" if changed else "done_in_flight"
        with kernel.read_session() as session:
            fields = _asked(frame, session).fields
        return frame.back("deliveries", said, **fields)


def _asked(frame: Frame, session: Session) -> Asked[CallbackFilter]:
    return read_address(session, frame.kernel.clock.now(), read_callbacks)


def _around(frame: Frame, session: Session, asked: Asked[CallbackFilter]) -> dict[str, Any]:
    """Return what stands around the rows: fields with what they may hold, and counts."""
    wanted, budget = asked.wanted, frame.limits.counting
    total = None if asked.wrong else count_callbacks(session, wanted, budget)
    connection = session.connection()
    return {
        "total": total,
        "groups": [] if total is None else groups_of(total, asked),
        "tags": sorted({*suggestions.tags(connection), *frame.kernel.handlers}),
        "receivers": suggestions.receivers(connection),
        "died_of": DIED_OF,
    }


def _looked_to(found: Page | None) -> datetime | None:
    """Return the moment that a search has come to which stopped before its page was full."""
    if found is None or found.next is None or found.complete:
        return None
    return _reached(found.next)


def _reached(cursor: Cursor) -> datetime:
    """Return the moment that a search has come to."""
    first = cursor.key[0]
    return first if isinstance(first, datetime) else time_of(first)


def _exporting(frame: Frame) -> None:
    kernel = frame.kernel

    @frame.page("/deliveries/export")
    def export_deliveries(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            asked = _asked(frame, session)
        if asked.wrong:
            raise FormRefused.by_field(asked.wrong)
        return as_file("callbacks", CALLBACK_COLUMNS, callback_rows(kernel, asked.wanted))
