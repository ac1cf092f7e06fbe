"""What happened in each minute, and series made of it for charts. On both databases."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import event

from kernel.db.ids import first_id, new_id, time_of
from kernel.insight import minutes
from kernel.insight.minutes import MINUTE, Durations, floor
from kernel.insight.trends import Span, Trends
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.sweep import sweep
from tests.support.factories import make_attempt, make_delivery, make_order

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
# A day is long to count.
REACH = 4 * HOUR
A = "https://receiver.example:443"


def ended(kernel: Kernel, at: datetime, seconds: float = 1.0) -> str:
    """Make an order that ended at a moment, so many seconds after it was accepted."""
    began = at - timedelta(seconds=seconds)
    made = {"id": new_id(began), "created_at": began, "run_after": began}
    return make_order(kernel, **made, state="success", finished_at=at, message="success")


def last_minute(kernel: Kernel) -> datetime:
    """The last minute that can be counted for good."""
    return minutes.settled(kernel.clock.now()) - MINUTE


def test_minute_is_counted_from_the_rows_when_it_is_over(kernel: Kernel) -> None:
    at = last_minute(kernel)
    for second in (1, 30, 59):
        order_id = ended(kernel, at + second * SECOND, 0.5)
    ended(kernel, at - SECOND)
    ended(kernel, at + MINUTE)
    delivery_id = make_delivery(kernel, order_id)
    make_attempt(kernel, delivery_id, at, "timeout")
    make_attempt(kernel, delivery_id, at + SECOND)
    with kernel.read_session() as session:
        found = minutes.tally(session, at, at + MINUTE)
    # The one that ended a second into the next minute began at the end of this one.
    assert (found.accepted, found.finished, found.attempts, found.delivered) == (4, 3, 2, 1)
    assert found.took.percentile(0.5) == pytest.approx(0.5, rel=0.05)


def test_minutes_are_written_back_to_the_reach_when_nobody_had_before(kernel: Kernel) -> None:
    ended(kernel, last_minute(kernel) - 5 * HOUR)
    ended(kernel, last_minute(kernel) + SECOND)
    written = 0
    while made := minutes.write(kernel, REACH):
        assert made <= minutes.BATCH
        written += made
    assert written in (238, 239)
    with kernel.read_session() as session:
        found = minutes.read(session, kernel.clock.now() - minutes.REACH - MINUTE)
    assert [one.began_at for one in found] == [
        found[0].began_at + n * MINUTE for n in range(written)
    ]
    assert sum(one.finished for one in found) == 1


def test_minutes_begin_with_the_first_order_when_nobody_had_written_before(kernel: Kernel) -> None:
    ended(kernel, last_minute(kernel) - 3 * MINUTE + 30 * SECOND)
    assert minutes.write(kernel) == 4


def test_minutes_go_on_where_they_ended_when_time_has_passed(kernel: Kernel) -> None:
    assert minutes.write(kernel) == 1
    assert minutes.write(kernel) == 0
    kernel.clock.shift(180)
    assert minutes.write(kernel) == 3


def test_minutes_are_written_when_a_process_sweeps(kernel: Kernel) -> None:
    sweep(kernel, rescue=False)
    with kernel.read_session() as session:
        found = minutes.read(session, kernel.clock.now() - minutes.REACH - MINUTE)
    assert [one.began_at for one in found] == [last_minute(kernel)]


def test_old_minutes_are_forgotten_when_new_ones_are_written(kernel: Kernel) -> None:
    minutes.write(kernel)
    kernel.clock.shift(minutes.KEEP.total_seconds() + 86_400)
    minutes.write(kernel)
    with kernel.read_session() as session:
        found = minutes.read(session, datetime.fromisoformat("2000-01-01T00:00:00Z"))
    assert len(found) == minutes.BATCH, "none of eight days ago"


def test_durations_of_many_orders_are_a_fair_sample_when_a_minute_has_too_many(
    kernel: Kernel,
) -> None:
    sample = 20
    at = last_minute(kernel)
    for number in range(200):  # the first half of the minute is slow
        ended(kernel, at + number * SECOND / 4, 2.0 if number < 100 else 0.1)
    with kernel.read_session() as session:
        found = minutes.tally(session, at, at + MINUTE, sample)
    assert found.finished == 200
    assert len(found.took.counts) == 2
    assert sum(found.took.counts.values()) <= 2 * sample


def test_percentiles_are_right_to_a_twentieth_when_durations_are_added_up() -> None:
    some, more = Durations.of(n / 100 for n in range(1, 51)), Durations.of([2.0] * 10)
    some.add(more, 5)
    again = Durations.decode(some.encode())
    assert again.percentile(0.25) == pytest.approx(0.25, rel=0.06)
    assert again.percentile(0.95) == pytest.approx(2.0, rel=0.06)
    assert Durations().percentile(0.5) is None


def test_id_tells_its_moment_when_it_was_made_by_us() -> None:
    moment = datetime.fromisoformat("2026-11-21T12:00:00.123457+00:00")
    assert abs(time_of(new_id(moment)) - moment) <= timedelta(microseconds=1)
    assert abs(time_of(first_id(moment)) - moment) <= timedelta(microseconds=1)


def test_trend_tells_of_now_when_no_worker_has_counted(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_attempt(kernel, make_delivery(kernel, ended(kernel, now, 0.2)), now)
    trend = Trends(kernel).read(Span.HOUR)
    assert len(trend.points) == 60
    assert (trend.accepted, trend.finished, trend.success) == (1, 1, 1.0)
    assert sum(point.finished for point in trend.points[-2:]) == 1
    assert trend.p50 == pytest.approx(0.2, rel=0.06)


def test_trend_of_a_day_is_per_minute_when_minutes_are_added_up(kernel: Kernel) -> None:
    at = floor(kernel.clock.now() - 3 * HOUR)
    for number in range(30):
        ended(kernel, at + number * SECOND)
    while minutes.write(kernel, REACH):
        pass
    trend = Trends(kernel).read(Span.DAY)
    assert (len(trend.points), trend.finished) == (96, 30)
    assert max(point.finished for point in trend.points) == 2.0
    assert [point.success for point in trend.points] == [None] * 96


def test_trend_asks_for_few_minutes_when_it_has_been_read_before(kernel: Kernel) -> None:
    trends = Trends(kernel)
    said: list[str] = []
    event.listen(kernel.engines.single, "before_cursor_execute", lambda *call: said.append(call[2]))
    trends.read(Span.HOUR)
    first, said[:] = len(said), []
    trends.read(Span.DAY)
    assert first > 200
    assert len(said) < 20
