"""Fires what is due: a submit, and the next time, in one commit.

The order and the schedule's move to its next time are one transaction, and the order's idempotency
key is ``schedule:ID:TIME``. So two sweepers, or one that dies at any point, make one order of a
time; and where the schedule's row is an old one (a restored database), that key still finds the
order.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from kernel.callers.identity import Identity, identity_of
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.schedules import SCHEDULES
from kernel.db.transactions import rowcount
from kernel.errors import IdempotencyKeyReused, InvalidOrder
from kernel.formats.durations import in_words
from kernel.formats.order_request import OrderRequest
from kernel.orders.ends.unknown_tags import is_for_others
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.schedules.changes import NO_ERROR, trace_of
from kernel.schedules.definition import Definition, is_disabled, order_of
from kernel.schedules.recurrence import Turn, turn
from kernel.schedules.rows import ROWS

log = logging.getLogger(__name__)

MAX_ERROR = 500


class _Overtaken(Exception):
    """The schedule was fired, paused, changed or removed by another process meanwhile."""


class _Refused(Exception):
    """No order can be made of this time; says why, beginning with a code."""


def due_schedules(kernel: Kernel, limit: int) -> Sequence[Any]:
    """Return up to ``limit`` schedules that are due, those due for longest first.

    Each row has the time ``now`` at which it was due.
    """
    now = kernel.clock.sql()
    with kernel.read_session() as session:
        return session.execute(
            ROWS.add_columns(now.label("now"))
            # A change that races a pause may leave a time with a schedule that is paused.
            .where(SCHEDULES.c.next_at <= now, SCHEDULES.c.paused_at.is_(None))
            .order_by(SCHEDULES.c.next_at)
            .limit(limit)
        ).all()


def fire(kernel: Kernel, row: Any) -> str | None:
    """Fire the latest time of a schedule that is due, unless it is too old; return the order's id.

    None when no order was made: what was missed or refused is the schedule's last error, and it
    goes on with its next time. Raises database errors, and ValueError for a zone that is unknown on
    this host: then the schedule stays due.
    """
    recurrence = Definition.of(row).recurrence
    found = turn(recurrence, row.next_at, row.now, timedelta(seconds=row.catch_up))
    if not found.is_missed and _is_for_others(kernel, row.select_tag):
        log.info("schedule left to a process that knows its tag", extra=_named(row))
        return None
    try:
        order_id = _submit(kernel, row, found)
    except _Refused as refused:
        _note(kernel, row, found, str(refused))
        return None
    except _Overtaken:
        return None
    log.info("schedule fired", extra={**_named(row), "order_id": order_id})
    return order_id


def _submit(kernel: Kernel, row: Any, found: Turn) -> str:
    """Submit the order of a time and move on; of a time that has its order already, only move."""
    owner, request = _order(kernel, row, found)
    key = f"schedule:{row.id}:{found.latest:%Y-%m-%dT%H:%M:%SZ}"

    def along(connection: Connection, order_id: str) -> None:
        if not _move(connection, row, found, order_id):
            raise _Overtaken

    try:
        accepted = submit(kernel, owner, request, key, trace_of(row), along)
        order_id, replayed = accepted.order_id, accepted.replayed
    except IdempotencyKeyReused:  # as another order: the definition was changed since
        with kernel.read() as connection:
            wanted = (ORDERS.c.caller_id == owner.caller_id, ORDERS.c.idempotency_key == key)
            order_id = connection.execute(select(ORDERS.c.id).where(*wanted)).scalar_one()
        replayed = True
    if replayed:
        with kernel.write() as connection:
            _move(connection, row, found, order_id)
    return order_id


def _order(kernel: Kernel, row: Any, found: Turn) -> tuple[Identity, OrderRequest]:
    """Return the order of a time and whose it is. Raises _Refused."""
    if found.is_missed:
        # Left to others until then, perhaps; an order that is later than that may do harm.
        who = "" if row.select_tag in kernel.handlers else " that knows its tag"
        raise _Refused(f"missed: no process{who} looked within {in_words(row.catch_up)} after it")
    with kernel.read_session() as session:
        if is_disabled(session, row.caller_id):
            raise _Refused(f"caller_disabled: all keys of {row.caller} are revoked")
        owner = identity_of(session, row.caller)
    try:
        return owner, order_of(kernel, owner, Definition.of(row))
    except InvalidOrder as invalid:
        raise _Refused(_in_words(invalid)) from None


def _move(connection: Connection, row: Any, to: Turn, order_id: str) -> bool:
    values = {"last_at": to.latest, "last_order_id": order_id, **NO_ERROR}
    return _go_on(connection, row, to.next, values)


def _note(kernel: Kernel, row: Any, to: Turn, said: str) -> None:
    """Note why a time made no order, and go on with the next."""
    values = {"last_error": said[:MAX_ERROR], "failed_at": to.latest}
    with kernel.write() as connection:
        moved = _go_on(connection, row, to.next, values)
    if moved:
        log.error("schedule made no order: %s", said, extra=_named(row))


def _go_on(connection: Connection, row: Any, to: datetime | None, values: dict[str, Any]) -> bool:
    """Move a schedule on, if it still stands where ``row`` says; tell whether it did."""
    same = (SCHEDULES.c.id == row.id, SCHEDULES.c.next_at == row.next_at)
    moved = connection.execute(update(SCHEDULES).where(*same).values(next_at=to, **values))
    return rowcount(moved) == 1


def _is_for_others(kernel: Kernel, tag: str) -> bool:
    with kernel.read_session() as session:
        return is_for_others(kernel, session.connection(), tag)


def _in_words(invalid: InvalidOrder) -> str:
    """Return the first problems of a refused order."""
    problems = invalid.data["errors"]
    return "; ".join(f"{one['code']}: {one['pointer'] or '/'} {one['detail']}" for one in problems)


def _named(row: Any) -> dict[str, Any]:
    return {"schedule": row.name}
