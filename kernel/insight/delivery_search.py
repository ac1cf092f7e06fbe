"""Deliveries by filter, a page at a time, and where a replay would send them.

A filter without an index of its own looks at some thousand rows, by quick queries and not for long,
and then says how far it came: the next page goes on from there. So a rare host among a million
takes many looks and none that is slow.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.delivery.redeliver import DeliveryFilter
from kernel.runtime.kernel import Kernel

PAGE = 50
# A look goes on in steps of so many rows, from the smallest to the largest, for so long.
SIZES = (250, 4000)
SECONDS = 0.03
# After this long a count says "at least".
COUNT_SECONDS = 2.0
COLUMNS = tuple(
    DELIVERIES.c[name]
    for name in (
        *("id", "order_id", "caller_id", "origin", "url", "state", "created_at"),
        *("next_attempt_at", "finished_at", "attempt", "claim_token"),
    )
)


class Cursor(NamedTuple):
    """The last row that was looked at: the next page begins below it."""

    id: str
    # Where rows come in the order of their end.
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some deliveries, the newest first."""

    rows: list[Any]
    # Each delivery's latest attempt, by the delivery's id.
    latest: Mapping[str, Any]
    # Where to go on; None at the end.
    next: Cursor | None
    # False: the page is not full because looking stopped at `next`.
    complete: bool


@dataclass(frozen=True, slots=True)
class _Way:
    """An index to go through backwards, and the conditions it answers by itself."""

    index: str
    where: list[ColumnElement[bool]]
    by_end: bool = False
    # True: there are no other conditions.
    exact: bool = False


def _way(wanted: DeliveryFilter) -> _Way:
    """Choose how to go: through one state's ends, one caller's ids, or all ids."""
    state, ends = DELIVERIES.c.state == wanted.state, "ix_deliveries_state_finished_at"
    plain = wanted.caller_id is None and wanted.host is None
    if wanted.state in (DeliveryState.PENDING, DeliveryState.HELD):
        within = DeliveryFilter(since=wanted.since, until=wanted.until).bounds()
        return _Way(ends, [state, DELIVERIES.c.finished_at.is_(None), *within], exact=plain)
    if wanted.state is DeliveryState.DEAD and wanted.until is None:
        # Nothing ends before the outcome it tells of.
        after = [] if wanted.since is None else [DELIVERIES.c.finished_at >= wanted.since]
        return _Way(ends, [state, *after], by_end=True, exact=plain and wanted.since is None)
    index = "PRIMARY" if wanted.caller_id is None else "ix_deliveries_caller_id_id"
    exact = wanted.state is None and wanted.host is None
    return _Way(index, wanted.bounds(), exact=exact)


def page(session: Session, wanted: DeliveryFilter, below: Cursor | None, limit: int) -> Page:
    """Return up to ``limit`` deliveries below ``below``, with their latest attempts."""
    way = _way(wanted)
    rows: list[Any] = []
    looked = _Looked(below, SECONDS)
    while looked.more:
        near = _near(way, looked.below)
        if way.exact:
            rows += session.execute(near.with_only_columns(*COLUMNS).limit(limit + 1))
            break
        query = _matching(way, near.limit(looked.size), wanted)
        rows += session.execute(query.limit(limit + 1 - len(rows)))
        if len(rows) > limit:
            break
        looked.on(_last(session, way, near, looked.size))
    if len(rows) > limit:
        rows = rows[:limit]
        looked.end(_cursor(way, rows[-1]))
    elif way.exact:
        looked.end(None)
    latest = _latest(session, [row.id for row in rows])
    return Page(rows, latest, looked.below, len(rows) == limit or looked.below is None)


class _Looked:
    """How far a look through an index has come: in larger and larger steps while time is left."""

    def __init__(self, below: Cursor | None, seconds: float) -> None:
        self.below = below
        self.size = SIZES[0]
        self.more = True
        self._deadline = time.monotonic() + seconds

    def on(self, last: Cursor | None) -> None:
        """Go on below ``last``, the last row of a step that was filled; None: that was all."""
        self.size = min(2 * self.size, SIZES[1])
        self.end(last)
        self.more = last is not None and time.monotonic() < self._deadline

    def end(self, last: Cursor | None) -> None:
        """Note where to go on another time."""
        self.below, self.more = last, False


def _near(way: _Way, below: Cursor | None) -> Select[Any]:
    """Go through the index from ``below`` on: ids, and ends."""
    end, id = DELIVERIES.c.finished_at, DELIVERIES.c.id
    near = by_index(select(id, end).where(*way.where), DELIVERIES, way.index)
    if not way.by_end:
        near = near if below is None else near.where(id < below.id)
        return near.order_by(id.desc())
    if below is not None:
        # Said twice: the first is what the index can begin with.
        near = near.where(end <= below.finished_at)
        near = near.where(
            or_(end < below.finished_at, and_(end == below.finished_at, id < below.id))
        )
    return near.order_by(end.desc(), id.desc())


def _matching(way: _Way, near: Select[Any], wanted: DeliveryFilter) -> Select[Any]:
    window = near.subquery()
    order = [window.c.finished_at.desc()] if way.by_end else []
    return _joined(select(*COLUMNS), window, wanted).order_by(*order, window.c.id.desc())


def _joined(query: Select[Any], window: FromClause, wanted: DeliveryFilter) -> Select[Any]:
    return query.join_from(window, DELIVERIES, window.c.id == DELIVERIES.c.id).where(
        *wanted.conditions()
    )


def _last(session: Session, way: _Way, near: Select[Any], size: int) -> Cursor | None:
    """Return the last of ``size`` rows; None when there are not so many."""
    row = session.execute(near.offset(size - 1).limit(1)).one_or_none()
    return None if row is None else _cursor(way, row)


def _cursor(way: _Way, row: Any) -> Cursor:
    return Cursor(row.id, row.finished_at if way.by_end else None)


def _latest(session: Session, ids: list[str]) -> dict[str, Any]:
    """Return the latest attempt of each of these deliveries that has one."""
    newest = (
        select(func.max(ATTEMPTS.c.id).label("id"))
        .where(ATTEMPTS.c.delivery_id.in_(ids))
        .group_by(ATTEMPTS.c.delivery_id)
        .subquery()
    )
    columns = (ATTEMPTS.c.delivery_id, ATTEMPTS.c.started_at, ATTEMPTS.c.status, ATTEMPTS.c.reason)
    query = select(*columns).join_from(newest, ATTEMPTS, newest.c.id == ATTEMPTS.c.id)
    return {row.delivery_id: row for row in session.execute(query)} if ids else {}


@dataclass(frozen=True, slots=True)
class Reach:
    """What a replay would send again."""

    # How many to each origin, most first.
    hosts: Mapping[str, int]
    # False: counting took too long, and there may be more.
    complete: bool

    @property
    def total(self) -> int:
        """How many deliveries."""
        return sum(self.hosts.values())


def reach(kernel: Kernel, wanted: DeliveryFilter, seconds: float = COUNT_SECONDS) -> Reach:
    """Count what a replay of ``wanted`` would send again, for ``seconds`` at the most."""
    way = _way(wanted)
    found: Counter[str] = Counter()
    looked = _Looked(None, seconds)
    by_host = select(DELIVERIES.c.origin, func.count()).group_by(DELIVERIES.c.origin)
    with kernel.read_session() as session:
        while looked.more:
            near = _near(way, looked.below)
            query = _joined(by_host, near.limit(looked.size).subquery(), wanted)
            found.update(
                dict(
                    session.execute(query.where(DELIVERIES.c.state.in_(DeliveryState.over()))).all()
                )
            )
            looked.on(_last(session, way, near, looked.size))
    return Reach(dict(found.most_common()), looked.below is None)
