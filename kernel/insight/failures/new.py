"""Errors that were seen for the first time lately, or came back after they had been resolved."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, false, select, true

from kernel.db.tables.operating.errors import ERRORS
from kernel.insight.conditions.facts import NewError

# For how long an error is new.
NEW = timedelta(hours=24)
# The most that are named: those that have been new for longest, so that the names stay.
SHOWN = 20


def new_errors(connection: Connection, now: datetime) -> list[NewError]:
    """Return the open errors that are new, without what a handler or a caller wanted so."""
    wanted = (ERRORS.c.new_at > now - NEW, ERRORS.c.is_open == true())
    asked = select(ERRORS).where(*wanted, ERRORS.c.is_refusal == false())
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
