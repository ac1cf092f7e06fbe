"""Series for charts of the last hour and the last day.

Settled minutes come from their rows (`kernel.insight.minutes`). The last two or three minutes, and
those for which no worker has written a row, are counted here and kept in memory.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from sqlalchemy.orm import Session

from kernel.insight.minutes import MINUTE, Tally, floor, read, settled, tally
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache

# The most minutes counted here, when no worker has swept for long.
COUNTED = 60
# A series is read from the rows at most every 1.5 s, and takes at most a tenth of the time.
KEEP_SECONDS, KEEP_SHARE = 1.5, 10


class Span(StrEnum):
    """The time that a chart covers."""

    HOUR = "hour"
    DAY = "day"

    @property
    def bins(self) -> int:
        """The number of points."""
        return 60 if self is Span.HOUR else 96

    @property
    def width(self) -> timedelta:
        """The time that a point covers."""
        return MINUTE if self is Span.HOUR else 15 * MINUTE


@dataclass(frozen=True, slots=True)
class Point:
    """One point of every chart. A figure is None when there was no order or attempt to count."""

    began_at: datetime
    # Per minute.
    accepted: float
    finished: float
    # Seconds from acceptance to outcome.
    p50: float | None
    p95: float | None
    attempts: int
    # The share of attempts that delivered, 0 to 1.
    success: float | None


@dataclass(frozen=True, slots=True)
class Trend:
    """A series, the oldest point first, and its totals."""

    span: Span
    points: list[Point]
    accepted: int
    finished: int
    attempts: int
    delivered: int
    p50: float | None
    p95: float | None

    @property
    def success(self) -> float | None:
        """The share of attempts that delivered."""
        return self.delivered / self.attempts if self.attempts else None


class Trends:
    """The series of one kernel, cached for a few seconds."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        # Settled minutes that have no row, counted here.
        self._over: dict[datetime, Tally] = {}
        # Minutes read from rows, which never change.
        self._read: dict[datetime, Tally] = {}
        self._lock = threading.Lock()
        self._trends = SingleFlightCache[Trend](KEEP_SECONDS, share=KEEP_SHARE)

    def read(self, span: Span) -> Trend:
        """Return the series. Raises the database's errors."""
        return self._trends.get(partial(self._ask, span), span)

    def _ask(self, span: Span) -> Trend:
        now = self._kernel.clock.now()
        with self._lock, self._kernel.read_session() as session:
            self._read_rows(session, now)
            minutes = [*self._read.values(), *self._counted(session, now)]
        return _trend(span, _first_bin(span, now), now, minutes)

    def _read_rows(self, session: Session, now: datetime) -> None:
        """Read the rows written since the last call."""
        first = _first_bin(Span.DAY, now)
        self._read = {at: one for at, one in self._read.items() if at >= first}
        newest = max(self._read, default=first - MINUTE)
        self._read |= {one.began_at: one for one in read(session, newest + MINUTE)}

    def _counted(self, session: Session, now: datetime) -> Iterator[Tally]:
        """Yield the minutes of the last hour that have no row; settled ones are counted once."""
        start = floor(now) - (COUNTED - 1) * MINUTE
        self._over = {at: one for at, one in self._over.items() if at >= start}
        for began_at in _steps(start, now, MINUTE):
            if began_at in self._read:
                continue
            one = self._over.get(began_at) or tally(session, began_at, began_at + MINUTE)
            if began_at < settled(now):
                self._over[began_at] = one
            yield one


def _first_bin(span: Span, now: datetime) -> datetime:
    """Return the beginning of the first point; points begin at multiples of their width."""
    seconds = int(span.width.total_seconds())
    last = floor(now) - timedelta(seconds=int(floor(now).timestamp()) % seconds)
    return last - (span.bins - 1) * span.width


def _steps(first: datetime, until: datetime, width: timedelta) -> Iterator[datetime]:
    while first <= until:
        yield first
        first += width


def _trend(span: Span, first: datetime, now: datetime, minutes: list[Tally]) -> Trend:
    bins = [Tally(began_at) for began_at in _steps(first, now, span.width)]
    total = Tally(first)
    for one in minutes:
        number = (one.began_at - first) // span.width
        if 0 <= number < len(bins):
            bins[number].add(one)
            total.add(one)
    return Trend(
        span,
        [_point(one, min(span.width, now - one.began_at)) for one in bins],
        *(total.accepted, total.finished, total.attempts, total.delivered),
        *(total.took.percentile(0.5), total.took.percentile(0.95)),
    )


def _point(one: Tally, length: timedelta) -> Point:
    # The last point may have begun a second ago: its rates count for at least a minute.
    minutes = max(1.0, length / MINUTE)
    return Point(
        began_at=one.began_at,
        accepted=one.accepted / minutes,
        finished=one.finished / minutes,
        p50=one.took.percentile(0.5),
        p95=one.took.percentile(0.95),
        attempts=one.attempts,
        success=one.delivered / one.attempts if one.attempts else None,
    )
