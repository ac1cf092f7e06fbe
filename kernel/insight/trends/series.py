"""Series for charts of the last hour, day and week, of all work or of a part of it.

Settled minutes come from their rows (`kernel.insight.trends.rows`). The last two or three
minutes, and those for which no worker has written a row, are counted here and kept in memory.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from sqlalchemy.orm import Session

from kernel.insight.trends.minutes import MINUTE, count_minute, floor, settled
from kernel.insight.trends.rows import (
    HOUR,
    QUARTER,
    aligned,
    covered,
    newest_minute,
    oldest_row,
    read,
    read_kind,
)
from kernel.insight.trends.tallies import EVERYTHING, Kind, Part, Tally, added
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache

# The most minutes counted here, when no worker has swept for long.
COUNTED = 60
# About the most orders, attempts and callbacks of such a minute whose rows are read, each.
SAMPLE = 100
# A series is read from the rows at most every 1.5 s, and takes at most a tenth of the time.
KEEP_SECONDS, KEEP_SHARE = 1.5, 10


class Span(StrEnum):
    """The time that a chart covers."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def bins(self) -> int:
        """The number of points."""
        return {Span.HOUR: 60, Span.DAY: 96, Span.WEEK: 168}[self]

    @property
    def width(self) -> timedelta:
        """The time that a point covers."""
        return {Span.HOUR: MINUTE, Span.DAY: QUARTER, Span.WEEK: HOUR}[self]

    @property
    def widths(self) -> list[timedelta]:
        """Of which rows its points are added up: the widest first, as far as there are any."""
        return [one for one in (HOUR, QUARTER, MINUTE) if one <= self.width]


@dataclass(frozen=True, slots=True)
class Point:
    """One point of every chart. A figure is None when there was no order or attempt to count."""

    began_at: datetime
    # Per minute.
    accepted: float
    finished: float
    failed: float
    # Seconds from acceptance to outcome.
    p50: float | None
    p95: float | None
    # Seconds from due to the beginning of the run, and from there to the outcome.
    queued_p50: float | None
    queued_p95: float | None
    ran_p50: float | None
    ran_p95: float | None
    # Seconds from a callback owed to delivered.
    delivered_p50: float | None
    delivered_p95: float | None
    attempts: int
    # The share of attempts that delivered, 0 to 1.
    success: float | None


@dataclass(frozen=True, slots=True)
class Trend:
    """A series, the oldest point first.

    ``total``: of its time. ``before``: of a time as long that ended where this one began; before
    the first of all rows it counts nothing. ``is_compared``: whether rows reach back so far.
    """

    span: Span
    part: Part
    points: list[Point]
    total: Tally
    before: Tally
    is_compared: bool

    @property
    def accepted(self) -> int:
        """Orders accepted."""
        return self.total.accepted

    @property
    def finished(self) -> int:
        """Orders that ended."""
        return self.total.finished

    @property
    def attempts(self) -> int:
        """POSTs begun."""
        return self.total.attempts

    @property
    def p50(self) -> float | None:
        """Seconds from acceptance to outcome, of half of the orders."""
        return self.total.took.percentile(0.5)

    @property
    def p95(self) -> float | None:
        """Seconds from acceptance to outcome, of 95 % of the orders."""
        return self.total.took.percentile(0.95)

    @property
    def success(self) -> float | None:
        """The share of attempts that delivered."""
        return self.total.success


class Trends:
    """The series of one kernel, cached for a few seconds."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        # Settled minutes that have no row, counted here.
        self._over: dict[datetime, dict[Part, Tally]] = {}
        self._lock = threading.Lock()
        self._live = SingleFlightCache[list[dict[Part, Tally]]](KEEP_SECONDS, share=KEEP_SHARE)
        self._trends = SingleFlightCache[Trend](KEEP_SECONDS, share=KEEP_SHARE)

    def read(self, span: Span, part: Part = EVERYTHING) -> Trend:
        """Return the series. Raises the database's errors."""
        return self._trends.get(partial(self._ask, span, part), (span, part))

    def by_part(self, span: Span, kind: Kind) -> dict[Part, Tally]:
        """Return the sum of each part of a kind over the time of ``span``.

        Beyond `kernel.insight.trends.minutes.PARTS` in a minute the smallest are one part without
        a name. Raises the database's errors.
        """
        first, counted = first_bin(span, self._kernel.clock.now()), self._counted()
        with self._kernel.read_session() as session:
            found = read_kind(session, kind, first, span.widths)
            newest = newest_minute(session)
        for minute in _after(counted, newest):
            for part, one in minute.items():
                if part.kind is kind:
                    found.setdefault(part, Tally(first)).add(one)
        return found

    def _ask(self, span: Span, part: Part) -> Trend:
        now = self._kernel.clock.now()
        first, counted = first_bin(span, now), self._counted()
        since = first - span.bins * span.width
        with self._kernel.read_session() as session:
            found = read(session, part, since, span.widths)
            newest, oldest = newest_minute(session), oldest_row(session, span.widths)
        found += [minute[part] for minute in _after(counted, newest) if part in minute]
        bins = [Tally(first + n * span.width) for n in range(span.bins)]
        earlier = [one for one in found if one.began_at < first]
        for one in found:
            if 0 <= (number := (one.began_at - first) // span.width) < span.bins:
                bins[number].add(one)
        points = [_point(one, min(span.width, now - one.began_at)) for one in bins]
        # Rows of a width begin with the first whole one: less than one is missing.
        compared = oldest is not None and oldest < since + span.width
        return Trend(span, part, points, added(first, bins), added(since, earlier), compared)

    def _counted(self) -> list[dict[Part, Tally]]:
        """Return the minutes of the last hour that have no row."""
        return self._live.get(self._count)

    def _count(self) -> list[dict[Part, Tally]]:
        now = self._kernel.clock.now()
        start = floor(now) - (COUNTED - 1) * MINUTE
        with self._lock, self._kernel.read_session() as session:
            known = covered(session, start)
            self._over = {
                at: one for at, one in self._over.items() if at >= start and at not in known
            }
            return [
                self._minute(session, one, now)
                for one in _steps(start, now, MINUTE)
                if one not in known
            ]

    def _minute(self, session: Session, began_at: datetime, now: datetime) -> dict[Part, Tally]:
        """Count a minute; one that is settled is counted once."""
        if began_at in self._over:
            return self._over[began_at]
        found = count_minute(session, began_at, began_at + MINUTE, SAMPLE)
        if began_at < settled(now):
            self._over[began_at] = found
        return found


def first_bin(span: Span, now: datetime) -> datetime:
    """Return the beginning of the first point; points begin at multiples of their width."""
    return aligned(floor(now), span.width) - (span.bins - 1) * span.width


def _after(
    counted: list[dict[Part, Tally]], newest: datetime | None
) -> Iterator[dict[Part, Tally]]:
    """Yield the minutes that have not been written since they were counted here."""
    for one in counted:
        if newest is None or one[EVERYTHING].began_at > newest:
            yield one


def _steps(first: datetime, until: datetime, width: timedelta) -> Iterator[datetime]:
    while first <= until:
        yield first
        first += width


def _point(one: Tally, length: timedelta) -> Point:
    # The last point may have begun a second ago: its rates count for at least a minute.
    minutes = max(1.0, length / MINUTE)
    return Point(
        one.began_at,
        one.accepted / minutes,
        one.finished / minutes,
        one.failed / minutes,
        *(one.took.percentile(0.5), one.took.percentile(0.95)),
        *(one.queued.percentile(0.5), one.queued.percentile(0.95)),
        *(one.ran.percentile(0.5), one.ran.percentile(0.95)),
        *(one.delivered_in.percentile(0.5), one.delivered_in.percentile(0.95)),
        attempts=one.attempts,
        success=one.success,
    )
