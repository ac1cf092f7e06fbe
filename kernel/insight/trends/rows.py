"""The rows of minutes, and of the quarters of an hour and hours that they add up to.

A chart of a week reads a few hundred small rows, however many orders there were, and every process
shows the same. The process that sweeps writes the rows, once for each minute.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.db.ids import time_of
from kernel.db.tables.operating.trends import COUNTS
from kernel.db.tables.orders import ORDERS
from kernel.insight.trends.minutes import MINUTE, PARTS, count_minute, floor, settled
from kernel.insight.trends.tallies import EVERYTHING, Kind, Part, Tally, added, largest
from kernel.runtime.kernel import Kernel

QUARTER, HOUR = 15 * MINUTE, 60 * MINUTE
# How far back the first minutes go.
REACH = timedelta(hours=24)
# How long rows are kept, by their width: twice what a chart of them shows, and some.
KEEP = {
    MINUTE: timedelta(hours=26),
    QUARTER: timedelta(days=3),
    HOUR: timedelta(days=35),
}
# What rows of a width are added up from.
FINER = {QUARTER: MINUTE, HOUR: QUARTER}
# The most minutes that one call of `write` counts, which takes some milliseconds each, and the most
# rows that it adds up of each width; the rest wait for the next sweep.
BATCH = 5
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# The most rows of one width that a chart reads.
MOST = 400
Found = dict[Part, list[Tally]]


def write(kernel: Kernel, reach: timedelta = REACH) -> int:
    """Count the minutes that are over and not counted yet; return how many were written.

    At most `BATCH` of them, the oldest first: call again while it returns `BATCH`. The first goes
    back as far as ``reach``. Quarters and hours that are over are added up from their rows.
    """
    now = kernel.clock.now()
    with kernel.read_session() as session:
        first = max(_next_minute(session, now), floor(now - reach))
        missing = [first + n * MINUTE for n in range(BATCH) if first + n * MINUTE < settled(now)]
        found = [count_minute(session, one, one + MINUTE) for one in missing]
    if not _store(kernel, MINUTE, found):
        return 0
    for width in FINER:
        with kernel.read_session() as session:
            sums = _sums(session, width)
        _store(kernel, width, sums)
    _forget(kernel, now)
    return len(found)


def _store(kernel: Kernel, width: timedelta, found: list[dict[Part, Tally]]) -> bool:
    rows = [
        {"width": width // MINUTE, "kind": part.kind, "name": part.name} | one.row()
        for each in found
        for part, one in each.items()
    ]
    if not rows:
        return False
    try:
        with kernel.write_session() as session:
            session.execute(insert(COUNTS), rows)
    except IntegrityError:  # another process swept at the same time
        return False
    return True


def _sums(session: Session, width: timedelta) -> list[dict[Part, Tally]]:
    """Add up what is over and not added up yet, the oldest first, at most `BATCH` rows of all."""
    finer = FINER[width]
    newest, last = _newest(session, finer), _newest(session, width)
    since = None if last is None else last + width
    found: list[dict[Part, Tally]] = []
    while newest is not None and len(found) < BATCH:
        first = _first(session, finer, since)
        period = None if first is None else aligned(first, width)
        if period is None or period + width > newest + finer:
            break
        read = _all_parts(session, finer, period, period + width)
        sums = {part: added(period, some) for part, some in read.items()}
        found.append(largest(sums, PARTS) | {EVERYTHING: sums[EVERYTHING]})
        since = period + width
    return found


def aligned(moment: datetime, width: timedelta) -> datetime:
    """Return the beginning of the quarter, or the hour, that ``moment`` lies in."""
    return moment - timedelta(seconds=moment.timestamp() % width.total_seconds())


def _forget(kernel: Kernel, now: datetime) -> None:
    """Delete rows that are old, and have been added up if their width is to be."""
    coarser = {finer: width for width, finer in FINER.items()}
    with kernel.read_session() as session:
        limits = {}
        for width, keep in KEEP.items():
            first, limit = _first(session, width, None), now - keep
            if (into := coarser.get(width)) is not None:
                last = _newest(session, into)
                limit = min(limit, last + into) if last is not None else limit - KEEP[HOUR]
            if first is not None and first < limit:
                limits[width] = limit
    for width, limit in limits.items():
        with kernel.write_session() as session:
            gone = (COUNTS.c.width == width // MINUTE, COUNTS.c.began_at < limit)
            session.execute(delete(COUNTS).where(*gone))


def _next_minute(session: Session, now: datetime) -> datetime:
    """Return the minute after the last row, or without rows that of the oldest order."""
    last = _newest(session, MINUTE)
    if last is not None:
        return last + MINUTE
    oldest = session.scalar(select(func.min(ORDERS.c.id)))
    return settled(now) - MINUTE if oldest is None else floor(time_of(oldest))


def _of(part: Part, width: timedelta, *columns: Any) -> Select[Any]:
    where = {"width": width // MINUTE, "kind": part.kind, "name": part.name}
    return select(*columns).where(*(COUNTS.c[name] == value for name, value in where.items()))


def _newest(session: Session, width: timedelta) -> datetime | None:
    newest: datetime | None = session.scalar(_of(EVERYTHING, width, func.max(COUNTS.c.began_at)))
    return newest


def newest_minute(session: Session) -> datetime | None:
    """Return the last minute that has been counted; those before it have been, too."""
    return _newest(session, MINUTE)


def oldest_row(session: Session, widths: Sequence[timedelta]) -> datetime | None:
    """Return where the first row of these widths begins; None without rows."""
    firsts = (_first(session, width, None) for width in widths)
    return min((one for one in firsts if one is not None), default=None)


def _first(session: Session, width: timedelta, since: datetime | None) -> datetime | None:
    asked = _of(EVERYTHING, width, func.min(COUNTS.c.began_at))
    if since is not None:
        asked = asked.where(COUNTS.c.began_at >= since)
    first: datetime | None = session.scalar(asked)
    return first


def _all_parts(
    session: Session, width: timedelta, since: datetime, until: datetime, kind: Kind | None = None
) -> Found:
    """Read the rows of every part, or of those of a kind, from one index; the oldest first."""
    asked = select(COUNTS).where(COUNTS.c.width == width // MINUTE)
    asked = asked.where(COUNTS.c.began_at >= since, COUNTS.c.began_at < until)
    if kind is not None:
        asked = asked.where(COUNTS.c.kind == kind)
    found: Found = {}
    for row in session.execute(asked.order_by(COUNTS.c.began_at)).mappings():
        part = Part(Kind(row["kind"]), row["name"])
        found.setdefault(part, []).append(Tally.of(row))
    return found


def read(session: Session, part: Part, since: datetime, widths: Sequence[timedelta]) -> list[Tally]:
    """Return a part's rows from ``since`` on, the oldest first.

    ``widths``: from the widest on; each is read from where the one before ends.
    """
    found = []
    for width, first in _stretches(session, since, widths):
        asked = _of(part, width, COUNTS).where(COUNTS.c.began_at >= first)
        rows = session.execute(asked.order_by(COUNTS.c.began_at).limit(MOST)).mappings()
        found += [Tally.of(row) for row in rows]
    return found


def read_kind(
    session: Session, kind: Kind, since: datetime, widths: Sequence[timedelta]
) -> dict[Part, Tally]:
    """Return the sum of each part of a kind from ``since`` on, as `read` finds rows."""
    found: dict[Part, Tally] = {}
    for width, first in _stretches(session, since, widths):
        until = first + MOST * width
        for part, some in _all_parts(session, width, first, until, kind).items():
            found.setdefault(part, Tally(since)).add(added(since, some))
    return found


def _stretches(
    session: Session, since: datetime, widths: Sequence[timedelta]
) -> Iterator[tuple[timedelta, datetime]]:
    """Yield each width with the moment from which its rows are to be read."""
    for width in widths:
        yield width, since
        newest = _newest(session, width)
        if newest is not None:
            since = max(since, newest + width)


def covered(session: Session, since: datetime) -> set[datetime]:
    """Return which minutes from ``since`` on have been counted."""
    asked = _of(EVERYTHING, MINUTE, COUNTS.c.began_at).where(COUNTS.c.began_at >= since)
    return set(session.scalars(asked))
