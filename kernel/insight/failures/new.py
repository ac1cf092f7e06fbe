"""Errors that were seen for the first time lately, or came back after they had been resolved."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, false, select, true

from kernel.db.tables.operating.errors import ERRORS
from kernel.insight.conditions.facts import NewError

# For how long an error is new.
NEW = timedelta(hours=24)
# The most that are named: those that have been new for longest, so that the names stay.
SHOWN = 20


def of_new(since: Any) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that an error is open, new ``since`` then, and not wanted so."""
    return (
        *(ERRORS.c.new_at > since, ERRORS.c.is_open == true()),
        ERRORS.c.is_refusal == false(),
    )


def new_errors(connection: Connection, now: datetime) -> list[NewError]:
    """Return the open errors that are new, without what a handler or a caller wanted so."""
    asked = select(ERRORS).where(*of_new(now - NEW))
    return [
        NewError(
            fingerprint=row.fingerprint,
            select_tag=row.select_tag,
            what=row.error_type or row.error_code or "?",
            place=row.place or "",
            since=row.new_at,
            came_back=row.new_at > row.first_seen,
        )
        for row in connection.execute(asked.order_by(ERRORS.c.new_at).limit(SHOWN))
    ]
