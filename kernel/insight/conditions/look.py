"""Reads the facts: a dozen short questions, each answered from an index and bounded.

The broker is asked for half a second at the most, the database at all only while it answers.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, exists, func, or_, select

from kernel.db.columns import UTCDateTime
from kernel.db.dialects.mends import explain
from kernel.db.errors import DATABASE_ERRORS, driver_error
from kernel.db.schema.version import SCHEMA, found_schema
from kernel.db.statements.prepared import Prepared
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.errors import ERRORS
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.schedules import SCHEDULES
from kernel.db.tables.service import DRAINED, Worker
from kernel.insight.backlog import Backlog, backlog, given_up
from kernel.insight.conditions.expiring import slow_facts
from kernel.insight.conditions.facts import Database, Dead, Facts, FailedSchedule, Oldest
from kernel.insight.conditions.failing import failing_origins
from kernel.insight.conditions.paused import paused
from kernel.insight.failures.new import NEW, new_errors, of_new
from kernel.insight.readiness import workers_alive
from kernel.insight.workers import processes
from kernel.orders.due import oldest_due
from kernel.runtime.kernel import Kernel
from kernel.runtime.startup import takes_writes

log = logging.getLogger(__name__)

# Counts of what waits stop here: a sentence says "1,000+".
LIMIT = 1_000
# The most recurring orders that are named.
SHOWN = 20
# Whether the broker answers: `Hints.backlog`, or None where it is not asked.
Asking = Callable[[], int | None] | None


def vital(kernel: Kernel, asking: Asking = None) -> Facts:
    """Read what decides whether the installation can work: for load balancers, every second."""
    database = look_at_database(kernel)
    broker = None if asking is None else asking() is not None
    workers = None
    if database.is_usable:
        try:
            workers = workers_alive(kernel)
        except DATABASE_ERRORS as error:
            database = _silent(kernel, error)
    return Facts(now=_now(kernel, database), database=database, broker=broker, workers=workers)


def look(
    kernel: Kernel, asking: Asking = None, counted: Callable[[], Backlog] | None = None
) -> Facts:
    """Read everything that the rules look at.

    ``counted``: returns what waits where that is known already. A database that does not answer is
    a fact like the others: nothing is raised for it.
    """
    first = vital(kernel, asking)
    if not first.database.is_usable:
        return first
    try:
        return _whole(kernel, first, counted or (lambda: backlog(kernel, LIMIT)))
    except DATABASE_ERRORS as error:
        database = _silent(kernel, error)
        return Facts(now=first.now, database=database, broker=first.broker)


def look_at_database(kernel: Kernel) -> Database:
    """Ask the database whether it answers, takes writes, and is migrated. Logs what is wrong."""
    file = kernel.dialect.file_of(kernel.engine.url)
    if file is not None and not file.exists():
        return Database(schema=None, needs=SCHEMA)
    try:
        with kernel.read() as connection:
            schema = found_schema(connection)
            read_only = not takes_writes(kernel, connection)
    except DATABASE_ERRORS as error:
        return _silent(kernel, error)
    found = Database(schema=schema, needs=SCHEMA, is_read_only=read_only)
    if found.is_behind:
        log.warning("not ready: the database is at migration %s, not %s", schema, SCHEMA)
    elif read_only:
        log.warning("not ready: the database takes no writes")
    return found


def _silent(kernel: Kernel, error: Exception) -> Database:
    cause = driver_error(error) or error
    log.warning("not ready: %s", cause)
    said = explain(cause, kernel.engine.url)
    return Database(answers=False, error=said, schema=None, needs=SCHEMA)


def _now(kernel: Kernel, database: Database) -> datetime:
    if database.answers:
        try:
            return kernel.clock.now()
        except DATABASE_ERRORS:
            pass
    return datetime.now(UTC)


def _whole(kernel: Kernel, first: Facts, counted: Callable[[], Backlog]) -> Facts:
    known, waiting = slow_facts(kernel), counted()
    at_work = [one for one in processes(kernel) if one.alive]
    with kernel.read() as connection:
        there = _there(connection, first.now)
        return Facts(
            now=first.now,
            database=_with(first.database, known.unfit),
            broker=first.broker,
            workers=first.workers,
            quiet=sum(one.quiet and one.kind == "worker" for one in at_work),
            worker_seen_at=None if first.workers else _last_seen(connection),
            backlog=waiting,
            oldest=_oldest(kernel, connection) if waiting.orders_due else None,
            failing=failing_origins(connection, at_work),
            dead=_dead(connection, first.now, waiting.deliveries_dead),
            pauses=paused(connection) if there.pauses else (),
            keys=known.keys,
            certificates=known.certificates,
            schedules=_failed_schedules(connection) if there.schedules else (),
            errors=new_errors(connection, first.now) if there.errors else (),
        )


def _with(database: Database, unfit: str) -> Database:
    return Database(
        is_read_only=database.is_read_only,
        unfit=unfit,
        schema=database.schema,
        needs=database.needs,
    )


def _last_seen(connection: Connection) -> datetime | None:
    """Return when the worker that was there last was seen; None when no row is left of it."""
    seen = select(func.max(Worker.seen_at)).where(Worker.kind == "worker")
    found: datetime | None = connection.scalar(seen)
    return found


def _oldest(kernel: Kernel, connection: Connection) -> Oldest | None:
    found = oldest_due(kernel, connection)
    if found is None:
        return None
    named = (ORDERS.c.select_tag, ORDERS.c.reference, Caller.name)
    asked = select(*named).join_from(ORDERS, Caller, Caller.id == ORDERS.c.caller_id)
    row = connection.execute(asked.where(ORDERS.c.id == found.id)).one_or_none()
    if row is None:
        return None
    return Oldest(found.id, found.run_after, row.select_tag, row.name, row.reference)


def _dead(connection: Connection, now: datetime, number: int) -> Dead | None:
    """Return what was given up, by no person's wish; None where nothing was."""
    if not number:
        return None
    at = DELIVERIES.c.finished_at
    ends = [given_up(now, order, DELIVERIES.c.origin) for order in (at.asc(), at.desc())]
    seen = [connection.execute(end.limit(1)).first() for end in ends]
    found = [one for one in seen if one is not None]  # dropped ones may hide those of one end
    if not found:
        return None
    return Dead(number, found[0].finished_at, found[-1].origin, found[-1].died_of)


class _There(NamedTuple):
    """Which rows there are of what people pause, and of what fails."""

    pauses: bool
    schedules: bool
    errors: bool


def _there(connection: Connection, now: datetime) -> _There:
    """Ask for all of them at once: most installations have none at most times."""
    (row,) = _THERE.rows(connection, {"since": now - NEW})
    return _There(*map(bool, row))


_FAILED = (SCHEDULES.c.failed_at.is_not(None), SCHEDULES.c.last_error.is_not(None))
_NEW_SINCE = bindparam("since", type_=UTCDateTime)
_ASKED: tuple[Any, ...] = (
    or_(exists(select(PAUSES.c.id)), exists(select(DRAINED.c.host))),
    exists(select(SCHEDULES.c.name).where(*_FAILED)),
    exists(select(ERRORS.c.fingerprint).where(*of_new(_NEW_SINCE))),
)
_THERE = Prepared(select(*_ASKED))


def _failed_schedules(connection: Connection) -> list[FailedSchedule]:
    columns = (SCHEDULES.c.name, SCHEDULES.c.failed_at, SCHEDULES.c.last_error)
    asked = select(*columns).where(*_FAILED).order_by(SCHEDULES.c.failed_at).limit(SHOWN)
    return [
        FailedSchedule(row.name, row.failed_at, row.last_error) for row in connection.execute(asked)
    ]
