"""What charts and their comparisons ask, done once, and a day of counts and marks to ask it of."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete

from kernel.db.tables.operating.trends import COUNTS
from kernel.delivery.breakers import Target
from kernel.insight.trends import marks, rows
from kernel.insight.trends.minutes import MINUTE, count_minute, floor
from kernel.insight.trends.parts import rows_of
from kernel.insight.trends.rows import HOUR, KEEP, QUARTER
from kernel.insight.trends.series import Span, Trends, first_bin
from kernel.insight.trends.tallies import DURATIONS, EVERYTHING, Kind, Part
from kernel.insight.workers import Heartbeat
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_attempt, make_delivery

A = "https://receiver.example:443"
# How far back the counts go, and before how many minutes they end.
REACH, ENDED = timedelta(hours=26), 5
PARTS = (EVERYTHING, *(Part(Kind.TAG, f"tag-{n}") for n in range(3)), Part(Kind.HOST, A))
BREAKERS = 3_000
OLD, LATER = 3, 300


def counts() -> Iterator[dict[str, Any]]:
    """Yield the rows of a day, by minute, quarter and hour."""
    last = floor(datetime.now(UTC)) - ENDED * MINUTE
    one = {"accepted": 1, "finished": 1, "attempts": 1, "delivered": 1, "dead": 0}
    one |= {"states": "{}", "reasons": "{}"} | dict.fromkeys(DURATIONS, "{}")
    for width in (MINUTE, QUARTER, HOUR):
        end = rows.aligned(last, width)
        for number in range(1, REACH // width):
            for part in PARTS:
                at = {"width": width // MINUTE, "kind": part.kind, "name": part.name}
                yield one | at | {"began_at": end - number * width}


def breakers() -> Iterator[dict[str, Any]]:
    """Yield marks of breakers that have closed long ago, a few of them too long."""
    now = datetime.now(UTC)
    for number in range(BREAKERS):
        at = now - KEEP[HOUR] + (number - OLD) * MINUTE
        yield {"kind": "breaker", "subject": f"{A}#{number}", "began_at": at, "ended_at": at}


def charts_are_drawn(kernel: Kernel) -> None:
    """Of every time and part; a version starts, a breaker opens and closes, old marks go."""
    now = kernel.clock.now()
    sent = make_delivery(kernel)
    for _ in range(3):
        make_attempt(kernel, sent, now, "connect")
    with kernel.read_session() as session:  # a busy minute, of which some are looked at
        count_minute(session, floor(now), floor(now) + MINUTE, 1)
    with kernel.write_session() as session:
        marks.note_start(session, "elsewhere", now)
        process = Heartbeat("worker", now)
        process.note(session, now, [], [Target(1, A)])
    marks.note_breakers(kernel)
    kernel.clock.shift(LATER)
    assert rows.write(kernel), "sweeps have written what was over by then"
    trends = Trends(kernel)
    for span in Span:
        for part in PARTS[:2]:
            assert trends.read(span, part).points
        for kind in Kind:
            rows_of(kernel, trends, span, kind)
        with kernel.read_session() as session:
            since = first_bin(span, now)
            assert marks.marks(session, since)
            marks.breakers(session, since, [Target(1, A)])
    with kernel.write_session() as session:
        process.note(session, now, [], [])
    marks.note_breakers(kernel)
    marks.forget(kernel)
    with kernel.write() as connection:  # as at the first sweep after an upgrade
        connection.execute(delete(COUNTS))
    assert rows.write(kernel, HOUR)
    kernel.clock.shift(-LATER)
