"""The counts of one minute, of all work and of its parts, read from the rows.

Counts of all are exact, and come from indexes alone where there is much to count. What parts did
is read from the rows of at most about `SAMPLE` orders, attempts and callbacks; in a busier minute
they are a fair sample, and the parts' counts an estimate.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from kernel.callers.profile import CallbackProfile
from kernel.callers.receivers import receivers_of
from kernel.db.columns import by_index
from kernel.db.ids import first_id, time_of
from kernel.db.states import DeliveryState, OrderState
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.insight.search.spans import ended_by_run
from kernel.insight.trends.tallies import EVERYTHING, Kind, Part, Tally, largest

MINUTE = timedelta(minutes=1)
# A minute is counted this long after its end, so that callbacks in flight then are committed.
SETTLE = MINUTE
# About the most orders, attempts and callbacks of a minute whose rows are read, each.
SAMPLE = 1000
# The most parts of a kind that a minute tells apart; the others are added up.
PARTS = 30
# The index that covers the count; MariaDB would choose the primary key and read whole orders.
BY_STATE = "ix_kernel_orders_state_id"


@dataclass(slots=True)
class _Minute:
    """What is counted of one minute, while it is."""

    began_at: datetime
    until: datetime
    sample: int
    # Names of callers, and what finds the receiver of a URL, by the caller's id.
    names: dict[int, str] = field(default_factory=dict)
    profiles: dict[int, CallbackProfile] = field(default_factory=dict)
    found: dict[Part, Tally] = field(default_factory=dict)

    def of(self, part: Part) -> Tally:
        return self.found.setdefault(part, Tally(self.began_at))

    def orders_parts(self, row: Any) -> list[Tally]:
        """Return what an order counts for: everything, its tag, its caller."""
        tag = [Part(Kind.TAG, row.select_tag)] if row.select_tag is not None else []
        name = self.names.get(row.caller_id)
        caller = [Part(Kind.CALLER, name)] if name is not None else []
        return [self.of(part) for part in (EVERYTHING, *tag, *caller)]

    def callbacks_parts(self, row: Any) -> list[Tally]:
        """Return what a callback counts for: its host and its receiver, too."""
        parts = [Part(Kind.HOST, row.origin)]
        profile, name = self.profiles.get(row.caller_id), self.names.get(row.caller_id)
        receiver = profile.receiver_for(row.url) if profile is not None else None
        if receiver is not None and name is not None:
            parts.append(Part(Kind.RECEIVER, f"{name}/{receiver.name}"))
        return [*self.orders_parts(row), *map(self.of, parts)]


def floor(moment: datetime) -> datetime:
    """Return when the minute of ``moment`` began."""
    return moment.replace(second=0, microsecond=0)


def settled(now: datetime) -> datetime:
    """Return the first minute whose counts may still change: callbacks may be in flight."""
    return floor(now - SETTLE)


def count_minute(
    session: Session, began_at: datetime, until: datetime, sample: int = SAMPLE
) -> dict[Part, Tally]:
    """Count what happened in between, a minute or less, to all and to the largest parts.

    ``sample``: about how many orders, attempts and callbacks tell what parts did.
    """
    minute = _Minute(began_at, until, sample)
    accepted, ended, attempts, dead = _read(session, minute)
    _know(session, minute, (*accepted.rows, *ended.rows, *attempts.rows, *dead.rows))
    _tally(minute, accepted.rows, _accepted, minute.orders_parts)
    for one in minute.found.values():
        one.accepted = round(one.accepted * accepted.weight)
    _tally(minute, ended.rows, _ended, minute.orders_parts)
    _tally(minute, attempts.rows, _attempted, minute.callbacks_parts)
    for one in minute.found.values():
        one.scale(ended.weight, attempts.weight)
    _tally(minute, dead.rows, _died, minute.callbacks_parts)
    for one in minute.found.values():
        one.dead = round(one.dead * dead.weight)
    total = minute.of(EVERYTHING)
    total.accepted, total.finished, total.dead = accepted.count, ended.count, dead.count
    total.attempts, total.delivered = attempts.count, attempts.count - attempts.failed
    return {EVERYTHING: total} | {
        part: one for part, one in largest(minute.found, PARTS).items() if part.kind is not Kind.ALL
    }


@dataclass(frozen=True, slots=True)
class _Counted:
    """How many there are, and the rows of some: all of them, or a sample. ``failed``: attempts."""

    count: int
    rows: Sequence[Any]
    failed: int = 0

    @property
    def weight(self) -> float:
        """How many each row stands for."""
        return self.count / len(self.rows) if self.rows else 1.0


def _read(session: Session, minute: _Minute) -> tuple[_Counted, _Counted, _Counted, _Counted]:
    first, last = first_id(minute.began_at), first_id(minute.until)
    of_orders = (ORDERS.c.id, ORDERS.c.select_tag, ORDERS.c.caller_id)
    accepted = by_index(select(*of_orders), ORDERS, BY_STATE).where(
        ORDERS.c.state.in_(list(OrderState)), ORDERS.c.id >= first, ORDERS.c.id < last
    )
    how = (ORDERS.c.state, ORDERS.c.runner)
    times = (ORDERS.c.started_at, ORDERS.c.run_after, ORDERS.c.finished_at)
    ended = select(*of_orders, *how, *times).where(_within(ORDERS.c.finished_at, minute))
    of_callbacks = (DELIVERIES.c.caller_id, DELIVERIES.c.origin, DELIVERIES.c.url)
    owed = (DELIVERIES.c.created_at, ORDERS.c.select_tag)
    attempts = (
        select(ATTEMPTS.c.id, ATTEMPTS.c.started_at, ATTEMPTS.c.duration_ms, ATTEMPTS.c.reason)
        .add_columns(*of_callbacks, *owed)
        .join_from(ATTEMPTS, DELIVERIES, ATTEMPTS.c.delivery_id == DELIVERIES.c.id)
        .join(ORDERS, DELIVERIES.c.order_id == ORDERS.c.id)
        .where(_within(ATTEMPTS.c.started_at, minute))
    )
    dead = (
        select(DELIVERIES.c.id, *of_callbacks, ORDERS.c.select_tag)
        .join_from(DELIVERIES, ORDERS, DELIVERIES.c.order_id == ORDERS.c.id)
        .where(DELIVERIES.c.state == DeliveryState.DEAD)
        .where(_within(DELIVERIES.c.finished_at, minute))
    )
    return (
        _some(session, accepted, _digits(ORDERS.c.id), minute.sample),
        _some(session, ended, _digits(ORDERS.c.id), minute.sample),
        _attempts(session, attempts, minute),
        _some(session, dead, _digits(DELIVERIES.c.id), minute.sample),
    )


def _within(column: ColumnElement[datetime], minute: _Minute) -> ColumnElement[bool]:
    return (column >= minute.began_at) & (column < minute.until)


def _some(
    session: Session,
    query: Select[Any],
    some: Callable[[int, int], ColumnElement[bool]],
    sample: int,
) -> _Counted:
    """Read the rows of ``query``; if there are more than ``sample``, count them and read some."""
    rows = session.execute(query.limit(sample + 1)).all()
    if len(rows) <= sample:
        return _Counted(len(rows), rows)
    counted = query.with_only_columns(func.count(), maintain_column_froms=True)
    count = session.scalar(counted) or len(rows)
    return _Counted(
        count, session.execute(query.where(some(count, sample)).limit(2 * sample)).all()
    )


def _digits(id: ColumnElement[str]) -> Callable[[int, int], ColumnElement[bool]]:
    """Return what chooses ids by their random digits."""
    return lambda count, sample: func.substr(id, 33) < f"{65536 * sample // count:04x}"


def _attempts(session: Session, query: Select[Any], minute: _Minute) -> _Counted:
    """Read attempts: those that failed are counted too, from the same index."""

    def some(count: int, sample: int) -> ColumnElement[bool]:
        chosen: ColumnElement[bool] = ATTEMPTS.c.id % (count // sample + 1) == 0
        return chosen

    found = _some(session, query, some, minute.sample)
    if found.count == len(found.rows):
        failed = sum(one.reason is not None for one in found.rows)
    else:
        reasons = select(func.count(ATTEMPTS.c.reason))
        failed = session.scalar(reasons.where(_within(ATTEMPTS.c.started_at, minute))) or 0
    return _Counted(found.count, found.rows, failed)


def _know(session: Session, minute: _Minute, rows: Iterable[Any]) -> None:
    """Learn the callers of what was found, and their receivers."""
    ids = {one.caller_id for one in rows}
    if not ids:
        return
    named = select(Caller.id, Caller.name).where(Caller.id.in_(ids))
    minute.names = {row.id: row.name for row in session.execute(named)}
    known = receivers_of(session.connection(), ids)
    minute.profiles = {one: CallbackProfile(receivers=known[one]) for one in ids if known[one]}


def _tally(
    minute: _Minute,
    rows: Iterable[Any],
    note: Callable[[Tally, Any], None],
    parts: Callable[[Any], list[Tally]],
) -> None:
    for row in rows:
        for one in parts(row):
            note(one, row)


def _accepted(one: Tally, _row: Any) -> None:
    one.accepted += 1


def _ended(one: Tally, row: Any) -> None:
    one.finished += 1
    one.states[row.state] = one.states.get(row.state, 0) + 1
    one.took.note((row.finished_at - time_of(row.id)).total_seconds())
    if ended_by_run(row):
        one.queued.note((row.started_at - row.run_after).total_seconds())
        one.ran.note((row.finished_at - row.started_at).total_seconds())


def _attempted(one: Tally, row: Any) -> None:
    one.attempts += 1
    one.answered_in.note(row.duration_ms / 1000)
    if row.reason is not None:
        one.reasons[row.reason] = one.reasons.get(row.reason, 0) + 1
        return
    one.delivered += 1
    ended_at = row.started_at + timedelta(milliseconds=row.duration_ms)
    one.delivered_in.note((ended_at - row.created_at).total_seconds())


def _died(one: Tally, _row: Any) -> None:
    one.dead += 1
