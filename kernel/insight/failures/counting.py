"""Counts failures by their kind: each run once, some in a transaction, in the process that sweeps.

A run's row says whether it has been counted. It is marked in the commit that adds it to its error,
so a kill -9 between two statements loses nothing and counts nothing twice.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, false, func, insert, select, update

from kernel.callers.audit.acts import BY_SYSTEM
from kernel.db.columns import by_index
from kernel.db.states import OrderState
from kernel.db.tables.operating.errors import ERRORS, HOURS
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import rowcount
from kernel.formats.envelope import rfc3339
from kernel.orders.ends.run_ends import CODES
from kernel.runtime.kernel import Kernel

HOUR = timedelta(hours=1)
# Runs that one transaction counts, and errors that one forgets.
BATCH = 200
# How long hours are kept, and how many hours one call forgets.
KEEP_HOURS, FORGOTTEN = timedelta(days=15), timedelta(hours=6)
_COLUMNS = ("order_id", "run", "ended_at", "how", "error_code", "error_type", "place")
# Ends as failed that no handler and no caller asked for, though no exception tells of them.
_UNASKED = ("unknown_select_tag",)


class _Overtaken(Exception):
    """Another process has counted some of the same runs, or has deleted them."""


@dataclass(slots=True)
class _Group:
    """Failures of one kind, the oldest first."""

    select_tag: str
    runs: list[Row[Any]]

    @property
    def last(self) -> Row[Any]:
        """The latest one."""
        return self.runs[-1]

    @property
    def is_refusal(self) -> bool:
        """Whether all of them were ends that a handler or a caller wanted so."""
        return all(map(_is_refusal, self.runs))

    def told(self) -> dict[str, Any]:
        """Return what the latest one says of the kind."""
        last = self.last
        code = last.error_code or CODES.get(last.how)
        at = {"last_seen": last.ended_at, "order_id": last.order_id, "run": last.run}
        return {"error_type": last.error_type, "place": last.place, "error_code": code} | at

    def first_after(self, moment: datetime) -> Row[Any] | None:
        """Return the first one after a moment."""
        return next((one for one in self.runs if one.ended_at > moment), None)


def _is_refusal(run: Row[Any]) -> bool:
    is_end = run.how == OrderState.FAILED and run.error_type is None
    return is_end and run.error_code not in _UNASKED


def count_failures(kernel: Kernel, limit: int = BATCH) -> int:
    """Count up to ``limit`` failures that are not counted yet, the oldest first; return how many.

    Returns 0 as well when another process was faster: the rest is for the next sweep. Raises the
    database's errors.
    """
    with kernel.read() as connection:
        found: Sequence[Any] = connection.execute(UNCOUNTED.limit(limit)).all()
    if not found:
        return 0
    groups = _grouped(found)
    try:
        with kernel.write() as connection:
            _mark(connection, found)
            _add(connection, groups)
            _add_hours(connection, groups)
    except _Overtaken:
        return 0
    return len(found)


UNCOUNTED = (
    by_index(
        select(*(RUNS.c[name] for name in _COLUMNS), RUNS.c.fingerprint, ORDERS.c.select_tag),
        RUNS,
        "ix_kernel_runs_is_counted_ended_at",
    )
    .join_from(RUNS, ORDERS, ORDERS.c.id == RUNS.c.order_id)
    .where(RUNS.c.is_counted == false(), RUNS.c.fingerprint.is_not(None))
    .order_by(RUNS.c.ended_at)
)


def _grouped(found: Iterable[Row[Any]]) -> dict[str, _Group]:
    """Group failures by fingerprint, in the order in which the rows of errors are locked."""
    groups: dict[str, _Group] = {}
    for row in found:
        groups.setdefault(row.fingerprint, _Group(row.select_tag, [])).runs.append(row)
    return dict(sorted(groups.items()))


def _mark(connection: Connection, found: Sequence[Row[Any]]) -> None:
    """Mark runs as counted, all of them or none. Raises _Overtaken."""
    by_run: dict[int, list[str]] = defaultdict(list)
    for row in found:
        by_run[row.run].append(row.order_id)
    marked = 0
    for run, orders in sorted(by_run.items()):
        these = (RUNS.c.order_id.in_(sorted(orders)), RUNS.c.run == run)
        done = update(RUNS).where(*these, RUNS.c.is_counted == false()).values(is_counted=True)
        marked += rowcount(connection.execute(done))
    if marked != len(found):
        raise _Overtaken


def _add(connection: Connection, groups: Mapping[str, _Group]) -> None:
    asked = select(ERRORS).where(ERRORS.c.fingerprint.in_(groups)).order_by(ERRORS.c.fingerprint)
    known = {row.fingerprint: row for row in connection.execute(asked.with_for_update())}
    for fingerprint, group in groups.items():
        if fingerprint not in known:
            _begin(connection, fingerprint, group)
        else:
            _go_on(connection, known[fingerprint], group)


def _begin(connection: Connection, fingerprint: str, group: _Group) -> None:
    first = group.runs[0].ended_at
    row = {"fingerprint": fingerprint, "select_tag": group.select_tag, "is_open": True}
    row |= {"first_seen": first, "new_at": first, "is_refusal": group.is_refusal}
    connection.execute(insert(ERRORS).values(row | {"number": len(group.runs)} | group.told()))


def _go_on(connection: Connection, known: Row[Any], group: _Group) -> None:
    """Add to an error that is known. One that comes again after it was resolved is open again."""
    changes: dict[str, Any] = {"number": ERRORS.c.number + len(group.runs)}
    changes["is_refusal"] = known.is_refusal and group.is_refusal
    if group.last.ended_at >= known.last_seen:
        changes |= group.told()
    back = None if known.is_open else group.first_after(known.resolved_at)
    if back is not None:
        changes |= {"is_open": True, "new_at": back.ended_at}
        before = {"resolved_at": rfc3339(known.resolved_at), "resolved_by": known.resolved_by}
        told = {"before": before, "after": {"order_id": back.order_id}}
        BY_SYSTEM.record(connection, "error.reopen", f"error {known.fingerprint}", **told)
    this = update(ERRORS).where(ERRORS.c.fingerprint == known.fingerprint)
    connection.execute(this.values(changes))


def _add_hours(connection: Connection, groups: Mapping[str, _Group]) -> None:
    for fingerprint, group in groups.items():
        for began_at, number in sorted(Counter(hour_of(r.ended_at) for r in group.runs).items()):
            this = (HOURS.c.fingerprint == fingerprint, HOURS.c.began_at == began_at)
            more = update(HOURS).where(*this).values(number=HOURS.c.number + number)
            if rowcount(connection.execute(more)) == 0:
                row = {"fingerprint": fingerprint, "began_at": began_at, "number": number}
                connection.execute(insert(HOURS).values(row))


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of the hour of UTC that a moment lies in."""
    return moment.replace(minute=0, second=0, microsecond=0)


def forget_errors(kernel: Kernel) -> int:
    """Delete some errors whose last failure is older than orders are kept, and hours that are old.

    Returns how many errors. Most calls read, and write nothing. Raises the database's errors.
    """
    now = kernel.clock.now()
    before = now - timedelta(days=kernel.settings.retention_days)
    old = select(ERRORS.c.fingerprint).where(ERRORS.c.last_seen < before)
    with kernel.read() as connection:
        gone = list(connection.scalars(old.order_by(ERRORS.c.last_seen).limit(BATCH)))
        oldest = connection.scalar(select(func.min(HOURS.c.began_at)))
    forgotten = 0
    if gone:
        these = (ERRORS.c.fingerprint.in_(sorted(gone)), ERRORS.c.last_seen < before)
        held = select(ERRORS.c.fingerprint).where(*these).order_by(ERRORS.c.fingerprint)
        with kernel.write() as connection:
            locked = list(connection.scalars(held.with_for_update()))  # one may have come again
            for table in (ERRORS, HOURS):
                connection.execute(delete(table).where(table.c.fingerprint.in_(locked)))
        forgotten = len(locked)
    if oldest is not None and oldest < now - KEEP_HOURS:
        until = min(oldest + FORGOTTEN, now - KEEP_HOURS)
        with kernel.write() as connection:
            connection.execute(delete(HOURS).where(HOURS.c.began_at < until))
    return forgotten
