"""The counts of each minute: taken once, after the minute is over, and kept as one small row.

So a chart of a day reads 1,440 small rows, however many orders there were, and every process
shows the same. The process that sweeps writes the rows. All counts are read from indexes; how long
an order took is computed from its end and from its id, which holds its beginning.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.db.columns import by_index
from kernel.db.ids import first_id, time_of
from kernel.db.states import OrderState
from kernel.db.tables.deliveries import ATTEMPTS
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import Minute
from kernel.runtime.kernel import Kernel

MINUTE = timedelta(minutes=1)
# How far back the first rows go, and how long rows are kept.
REACH = timedelta(hours=24)
KEEP = timedelta(days=8)
# A minute is counted this long after its end, so that callbacks in flight then are committed.
SETTLE = MINUTE
# The most minutes that one call of `write` counts; the rest wait for the next sweep.
BATCH = 30
# The most orders of a minute whose durations are read.
SAMPLE = 1000
# Durations are counted in steps of 10 %: a percentile is right to 5 %.
STEP = math.log(1.1)
MINUTES: Any = Minute.__table__
# The index that covers the count; MariaDB would choose the primary key and read whole orders.
BY_STATE = "ix_kernel_orders_state_id"


@dataclass(slots=True)
class Durations:
    """A histogram of durations: ``counts`` by step, each step 10 % longer than the one before."""

    counts: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Self:
        """Count these durations in seconds. Those below a millisecond count as one millisecond."""
        found = cls()
        for one in seconds:
            step = math.floor(math.log(max(one * 1000, 1)) / STEP)
            found.counts[step] = found.counts.get(step, 0) + 1
        return found

    def add(self, other: Self, weight: float = 1) -> None:
        """Add the durations of ``other``, each ``weight`` times."""
        for step, count in other.counts.items():
            self.counts[step] = self.counts.get(step, 0) + count * weight

    def percentile(self, share: float) -> float | None:
        """Return the seconds below which ``share`` (0 to 1) of the durations lie; None if empty."""
        left = sum(self.counts.values()) * share
        for step in sorted(self.counts):
            left -= self.counts[step]
            if left <= 0:
                return math.exp((step + 0.5) * STEP) / 1000
        return None

    def encode(self) -> str:
        """Return the counts as JSON."""
        return json.dumps(self.counts, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` wrote."""
        return cls({int(step): count for step, count in json.loads(text).items()})


@dataclass(slots=True)
class Tally:
    """The counts of a minute or, added up, of a longer time, from ``began_at`` on."""

    began_at: datetime
    accepted: int = 0
    finished: int = 0
    attempts: int = 0
    delivered: int = 0
    took: Durations = field(default_factory=Durations)

    def add(self, other: Self) -> None:
        """Add another minute. Its sampled durations are weighted to stand for all its orders."""
        sampled = sum(other.took.counts.values())
        self.accepted += other.accepted
        self.finished += other.finished
        self.attempts += other.attempts
        self.delivered += other.delivered
        self.took.add(other.took, other.finished / sampled if sampled else 1)


def floor(moment: datetime) -> datetime:
    """Return when the minute of ``moment`` began."""
    return moment.replace(second=0, microsecond=0)


def settled(now: datetime) -> datetime:
    """Return the first minute whose counts may still change: callbacks may be in flight."""
    return floor(now - SETTLE)


def tally(session: Session, began_at: datetime, until: datetime, sample: int = SAMPLE) -> Tally:
    """Count what happened in between, a minute or less, from four indexes.

    ``sample``: about how many orders tell how long all of them took.
    """
    accepted = (
        by_index(select(func.count()).select_from(ORDERS), ORDERS, BY_STATE)
        .where(ORDERS.c.state.in_(list(OrderState)))
        .where(ORDERS.c.id >= first_id(began_at), ORDERS.c.id < first_id(until))
    )
    ended = (ORDERS.c.finished_at >= began_at, ORDERS.c.finished_at < until)
    finished = session.scalar(select(func.count()).select_from(ORDERS).where(*ended)) or 0
    attempts, failed = session.execute(
        select(func.count(), func.count(ATTEMPTS.c.reason)).where(
            ATTEMPTS.c.started_at >= began_at, ATTEMPTS.c.started_at < until
        )
    ).one()
    return Tally(
        began_at=began_at,
        accepted=session.scalar(accepted) or 0,
        finished=finished,
        attempts=attempts,
        delivered=attempts - failed,
        took=Durations.of(_sample(session, ended, finished, sample)),
    )


def _sample(
    session: Session, ended: Iterable[ColumnElement[bool]], finished: int, sample: int
) -> Iterator[float]:
    """Yield the seconds that some of the orders took: those with the lowest random digits."""
    query = select(ORDERS.c.id, ORDERS.c.finished_at).where(*ended).limit(2 * sample)
    if finished > sample:
        query = query.where(func.substr(ORDERS.c.id, -4) < f"{65536 * sample // finished:04x}")
    for order_id, finished_at in session.execute(query):
        yield (finished_at - time_of(order_id)).total_seconds()


def write(kernel: Kernel, reach: timedelta = REACH) -> int:
    """Count the minutes that are over and not counted yet; return how many were written.

    At most `BATCH` of them, the oldest first: call again while it returns `BATCH`. The first goes
    back as far as ``reach``.
    """
    now = kernel.clock.now()
    with kernel.read_session() as session:
        first = max(_next(session, now), floor(now - reach))
        missing = [first + n * MINUTE for n in range(BATCH) if first + n * MINUTE < settled(now)]
        found = [_row(tally(session, one, one + MINUTE)) for one in missing]
    if not found:
        return 0
    try:
        with kernel.write_session() as session:
            session.execute(insert(MINUTES), found)
            session.execute(delete(MINUTES).where(MINUTES.c.began_at < now - KEEP))
    except IntegrityError:  # another process swept at the same time
        return 0
    return len(found)


def _next(session: Session, now: datetime) -> datetime:
    """Return the minute after the last row, or without rows that of the oldest order."""
    last: datetime | None = session.scalar(select(func.max(MINUTES.c.began_at)))
    if last is not None:
        return last + MINUTE
    oldest = session.scalar(select(func.min(ORDERS.c.id)))
    return settled(now) - MINUTE if oldest is None else floor(time_of(oldest))


def _row(one: Tally) -> Mapping[str, Any]:
    counts = {name: getattr(one, name) for name in ("accepted", "finished")}
    posted = {name: getattr(one, name) for name in ("attempts", "delivered")}
    return {"began_at": one.began_at, **counts, **posted, "took": one.took.encode()}


def read(session: Session, since: datetime) -> list[Tally]:
    """Return the rows of the minutes from ``since`` on, the oldest first."""
    query = select(MINUTES).where(MINUTES.c.began_at >= since).order_by(MINUTES.c.began_at)
    return [
        Tally(
            row.began_at,
            row.accepted,
            row.finished,
            row.attempts,
            row.delivered,
            Durations.decode(row.took),
        )
        for row in session.execute(query)
    ]
