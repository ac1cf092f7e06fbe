"""Schedules are added, changed, paused, removed and run now: each a person's change, with its act.

A change of the times counts from now on: what was due before it, and was not fired yet, is not.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.identity import identity_of
from kernel.db.tables.orders import NO_CALLBACK
from kernel.db.tables.schedules import SCHEDULES
from kernel.db.transactions import rowcount
from kernel.errors import Conflict, NotFound
from kernel.formats.envelope import encode
from kernel.formats.order_request import problem
from kernel.formats.tracecontext import Trace
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.schedules.definition import (
    Definition,
    InvalidSchedule,
    check,
    is_disabled,
    order_of,
)
from kernel.schedules.rows import NAME, find, find_locked

# What an act tells of a definition; of the rest, which may be of persons, that it was changed.
TOLD = ("caller", "cron", "zone", "select_tag", "catch_up")
TIMES = {"cron", "zone"}


def add(kernel: Kernel, name: str, definition: Definition, by: By = BY_SYSTEM) -> None:
    """Make a schedule, whose first time is the next one.

    Raises InvalidSchedule with every problem, NotFound for the caller, Conflict for a name that is
    taken and for a caller whose keys are all revoked.
    """
    if not NAME.fullmatch(name):
        detail = "letters, digits and _ . - (at most 100)"
        raise InvalidSchedule(errors=[problem("/name", "invalid_name", detail)])
    with kernel.read_session() as session:
        owner = identity_of(session, definition.caller)
    check(kernel, owner, definition)
    row = _stored(definition) | {
        "name": name,
        "caller_id": owner.caller_id,
        "created_at": kernel.clock.sql(),
        "next_at": definition.recurrence.next(kernel.clock.now()),
    }
    try:
        with kernel.write_session() as session:
            _refuse_disabled(session, owner.caller_id, definition.caller)
            session.execute(insert(SCHEDULES).values(row))
            by.record(session, "schedule.add", _target(name), after=_facts(definition))
    except IntegrityError:
        raise Conflict(f"there is a schedule named {name} already") from None


def change(kernel: Kernel, name: str, changes: Mapping[str, Any], by: By = BY_SYSTEM) -> bool:
    """Change these members of a schedule's definition; tell whether anything changed.

    Raises NotFound, and InvalidSchedule with every problem.
    """
    changed: bool | None = None
    while changed is None:
        changed = _change(kernel, name, changes, by)
    return changed


def _change(kernel: Kernel, name: str, changes: Mapping[str, Any], by: By) -> bool | None:
    """Do as `change`; None, having written nothing, where another changed it meanwhile."""
    with kernel.read_session() as session:
        row = find(session, name)
        owner = identity_of(session, row.caller)
    before = Definition.of(row)
    after = replace(before, **changes)
    check(kernel, owner, after)
    changed = {one for one in changes if getattr(before, one) != getattr(after, one)}
    if not changed:
        return False
    values = {one: value for one, value in _stored(after).items() if one in changed}
    told = {"before": _facts(before, changed), "after": _facts(after, changed)}
    upcoming = after.recurrence.next(kernel.clock.now()) if changed & TIMES else None
    with kernel.write_session() as session:
        now = find_locked(session, name)
        if (now.id, Definition.of(now)) != (row.id, before):
            return None
        if upcoming is not None and now.paused_at is None:
            values["next_at"] = upcoming
        _update(session, SCHEDULES.c.id == row.id, name, values)
        by.record(session, "schedule.set", _target(name), **told)
    return True


def pause(kernel: Kernel, name: str, by: By = BY_SYSTEM) -> bool:
    """Fire none of its times until it is resumed; tell whether it was not paused. Raises NotFound.

    An order that is submitted at this very moment may be the last.
    """
    with kernel.write_session() as session:
        row = find(session, name)
        wanted = (SCHEDULES.c.id == row.id) & SCHEDULES.c.paused_at.is_(None)
        values = {"paused_at": kernel.clock.sql(), "next_at": None}
        done = session.execute(update(SCHEDULES).where(wanted).values(values))
        if rowcount(done) == 0:
            return False
        by.record(session, "schedule.pause", _target(name))
    return True


def resume(kernel: Kernel, name: str, by: By = BY_SYSTEM) -> bool:
    """Go on with the next time; those that passed meanwhile are not made up.

    Tell whether it was paused. Raises NotFound, and Conflict for a zone that is unknown here.
    """
    with kernel.write_session() as session:
        row = find_locked(session, name)
        try:
            upcoming = Definition.of(row).recurrence.next(kernel.clock.now())
        except ValueError as error:
            raise Conflict(str(error)) from None
        wanted = (SCHEDULES.c.id == row.id) & SCHEDULES.c.paused_at.is_not(None)
        values = {"paused_at": None, "next_at": upcoming}
        done = session.execute(update(SCHEDULES).where(wanted).values(values))
        if rowcount(done) == 0:
            return False
        by.record(session, "schedule.resume", _target(name))
    return True


def remove(kernel: Kernel, name: str, by: By = BY_SYSTEM) -> None:
    """Delete a schedule; its orders stay. Raises NotFound."""
    with kernel.write_session() as session:
        row = find_locked(session, name)
        session.execute(delete(SCHEDULES).where(SCHEDULES.c.id == row.id))
        by.record(session, "schedule.remove", _target(name), before=_facts(Definition.of(row)))


def run_now(kernel: Kernel, name: str, by: By = BY_SYSTEM) -> str:
    """Submit its order now, whether it is paused or not, and return the order's id.

    Its times stay as they are. Raises NotFound, InvalidSchedule when the order would be refused
    today, and Conflict when the caller's keys are all revoked.
    """
    with kernel.read_session() as session:
        row = find(session, name)
        owner = identity_of(session, row.caller)
        _refuse_disabled(session, owner.caller_id, row.caller)

    def along(connection: Connection, order_id: str) -> None:
        values = {"last_at": kernel.clock.sql(), "last_order_id": order_id, **NO_ERROR}
        _update(connection, SCHEDULES.c.id == row.id, name, values)
        by.record(connection, "schedule.run", _target(name), after={"order_id": order_id})

    request = order_of(kernel, owner, Definition.of(row))
    return submit(kernel, owner, request, trace=trace_of(row), along=along).order_id


# What a time that made an order clears.
NO_ERROR: dict[str, Any] = {"last_error": None, "failed_at": None}


def trace_of(row: Any) -> Trace:
    """Return what the log lines of a schedule's orders have in common."""
    return Trace(request_id=f"schedule-{row.id}")


def _update(asking: Session | Connection, wanted: Any, name: str, values: Any) -> None:
    changed = asking.execute(update(SCHEDULES).where(wanted).values(values))
    if rowcount(changed) == 0:  # removed meanwhile
        raise NotFound(f"there is no schedule named {name}")


def _refuse_disabled(session: Session, caller_id: int, caller: str) -> None:
    if is_disabled(session, caller_id):
        raise Conflict(f"all keys of {caller} are revoked")


def _stored(definition: Definition) -> dict[str, Any]:
    url = definition.callback_url
    return {
        "cron": " ".join(definition.cron.split()),
        "zone": definition.zone,
        "select_tag": definition.select_tag,
        "args": encode(dict(definition.args)).decode(),
        "callback_url": NO_CALLBACK if url is None else url,
        "reference": definition.reference,
        "catch_up": definition.catch_up,
    }


def _facts(definition: Definition, only: set[str] | None = None) -> dict[str, Any]:
    """Return what an act tells of a definition, or of some members of it."""
    names = TOLD if only is None else sorted(only)
    return {one: getattr(definition, one) if one in TOLD else "changed" for one in names}


def _target(name: str) -> str:
    return f"schedule {name}"
