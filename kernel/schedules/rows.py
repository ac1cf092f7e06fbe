"""Schedules as they are listed: with their callers, and with what became of their last orders."""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from kernel.callers.identity import find as find_caller
from kernel.config.near import did_you_mean
from kernel.db.tables.callers import Caller
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.schedules import SCHEDULES
from kernel.errors import NotFound
from kernel.formats.durations import in_words
from kernel.formats.envelope import rfc3339
from kernel.schedules.definition import Definition

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
# How many of the next times are told.
TOLD = 5
# A schedule with the name of its caller, and the state of its last order: null if that is gone.
ROWS = (
    select(SCHEDULES, Caller.name.label("caller"), ORDERS.c.state.label("last_state"))
    .join(Caller, Caller.id == SCHEDULES.c.caller_id)
    .outerjoin(ORDERS, ORDERS.c.id == SCHEDULES.c.last_order_id)
)


def list_schedules(session: Session, caller: str | None = None) -> Sequence[Any]:
    """Return all schedules, or those of one caller, by name. Raises NotFound for the caller."""
    query = ROWS
    if caller is not None:
        query = query.where(SCHEDULES.c.caller_id == find_caller(session, caller).id)
    return session.execute(query.order_by(SCHEDULES.c.name)).all()


def find(session: Session, name: str) -> Any:
    """Return the schedule of that name. Raises NotFound."""
    # The column holds nothing else, and compares nothing else.
    known = NAME.fullmatch(name)
    row = session.execute(ROWS.where(SCHEDULES.c.name == name)).one_or_none() if known else None
    if row is None:
        others = session.scalars(select(SCHEDULES.c.name).limit(1000))
        raise NotFound(f"there is no schedule named {name}{did_you_mean(name, others)}")
    return row


def find_locked(session: Session, name: str) -> Any:
    """Return the schedule of that name, locked until the transaction's end. Raises NotFound."""
    # By a statement of its own: what the other tables have is not locked.
    if NAME.fullmatch(name):
        session.execute(select(SCHEDULES.c.id).where(SCHEDULES.c.name == name).with_for_update())
    return find(session, name)


def next_times(row: Any) -> list[str]:
    """Return the next five times, the first as stored; none while it is paused.

    Raises ValueError when the zone is unknown on this host.
    """
    if row.next_at is None:
        return []
    later = islice(Definition.of(row).recurrence.after(row.next_at), TOLD - 1)
    return [str(rfc3339(at)) for at in (row.next_at, *later)]


def schedule_data(row: Any) -> dict[str, Any]:
    """Describe a schedule."""
    definition = Definition.of(row)
    return {
        "name": row.name,
        "caller": row.caller,
        "cron": row.cron,
        "zone": row.zone,
        "select_tag": row.select_tag,
        "args": definition.args,
        "callback_url": definition.callback_url,
        "reference": row.reference,
        "catch_up": in_words(row.catch_up),
        "created_at": rfc3339(row.created_at),
        "paused_at": rfc3339(row.paused_at),
        "next_at": rfc3339(row.next_at),
        "last_at": rfc3339(row.last_at),
        "last_order_id": row.last_order_id,
        "last_order_state": row.last_state,
        "last_error": row.last_error,
        "failed_at": rfc3339(row.failed_at),
    }
