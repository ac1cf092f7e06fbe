"""What happened in each minute, and the rows that it is kept in. On each database."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert

from kernel.db.ids import first_id, new_id, time_of
from kernel.db.tables.operating.trends import COUNTS
from kernel.insight.trends import minutes, rows
from kernel.insight.trends.durations import Durations
from kernel.insight.trends.minutes import MINUTE, floor
from kernel.insight.trends.rows import HOUR, QUARTER
from kernel.insight.trends.tallies import EVERYTHING, Kind, Part, Tally
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.sweep import sweep
from tests.support.factories import make_attempt, make_delivery
from tests.support.ticketing import make_receiver
from tests.support.trends import SECOND, ended, go_on_to, write_all

A = "https://receiver.example:443"


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    """A kernel at 20 s into a minute, so that none ends during a test."""
    return go_on_to(kernel, 44)


def counted(kernel: Kernel, at: datetime, sample: int = minutes.SAMPLE) -> dict[Part, Tally]:
    with kernel.read_session() as session:
        return minutes.count_minute(session, at, at + MINUTE, sample)


def kept(kernel: Kernel, part: Part = EVERYTHING, *widths: timedelta) -> list[Tally]:
    """The rows of a part, of minutes if no width is named."""
    with kernel.read_session() as session:
        return rows.read(session, part, rows.BEGINNING, widths or [MINUTE])


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
    found = counted(kernel, at)[EVERYTHING]
    # The one that ended a second into the next minute began at the end of this one.
    assert (found.accepted, found.finished, found.attempts, found.delivered) == (4, 3, 2, 1)
    assert found.took.percentile(0.5) == pytest.approx(0.5, rel=0.05)


def test_minutes_are_written_back_to_the_reach_when_nobody_had_before(kernel: Kernel) -> None:
    ended(kernel, last_minute(kernel) - 5 * HOUR)
    ended(kernel, last_minute(kernel) + SECOND)
    written = write_all(kernel)
    assert written == 189
    found = kept(kernel)
    assert [one.began_at for one in found] == [
        found[0].began_at + n * MINUTE for n in range(written)
    ]
    assert sum(one.finished for one in found) == 1


def test_minutes_begin_with_the_first_order_when_nobody_had_written_before(kernel: Kernel) -> None:
    ended(kernel, last_minute(kernel) - 3 * MINUTE + 30 * SECOND)
    assert rows.write(kernel) == 4


def test_minutes_go_on_where_they_ended_when_time_has_passed(kernel: Kernel) -> None:
    assert rows.write(kernel) == 1
    assert rows.write(kernel) == 0
    kernel.clock.shift(180)
    assert rows.write(kernel) == 3


def test_minutes_are_written_when_a_process_sweeps(kernel: Kernel) -> None:
    sweep(kernel, rescue=False)
    assert [one.began_at for one in kept(kernel)] == [last_minute(kernel)]


def test_old_minutes_are_forgotten_when_hours_have_their_counts(kernel: Kernel) -> None:
    ended(kernel, last_minute(kernel) - 2 * HOUR)
    write_all(kernel)
    assert sum(one.finished for one in kept(kernel, EVERYTHING, HOUR)) == 1
    kernel.clock.shift((rows.KEEP[MINUTE] + 2 * HOUR).total_seconds())
    for _ in range(3):
        rows.write(kernel)
    left = rows.KEEP[MINUTE] + HOUR + MINUTE
    assert kept(kernel)[0].began_at > kernel.clock.now() - left
    assert sum(one.finished for one in kept(kernel, EVERYTHING, QUARTER)) == 1
    assert sum(one.finished for one in kept(kernel, EVERYTHING, HOUR)) == 1


def test_minutes_stay_when_they_have_not_been_added_up(kernel: Kernel) -> None:
    old = floor(kernel.clock.now()) - timedelta(days=7)
    with kernel.write_session() as session:
        row = {"width": 1, "kind": "all", "name": ""} | Tally(old, finished=3).row()
        session.execute(insert(COUNTS), row)
    write_all(kernel)
    assert sum(one.finished for one in kept(kernel, EVERYTHING, HOUR)) == 3


def test_quarters_and_hours_are_sums_of_minutes_when_these_are_over(kernel: Kernel) -> None:
    first = rows.aligned(last_minute(kernel), HOUR) - 2 * HOUR
    for number in range(12):
        ended(kernel, first + number * 10 * MINUTE + SECOND, 0.5, state="failed")
    write_all(kernel)
    hours, quarters = kept(kernel, EVERYTHING, HOUR), kept(kernel, EVERYTHING, QUARTER)
    assert [one.failed for one in hours if one.began_at >= first] == [6, 6]
    assert sum(one.finished for one in quarters) == 12
    assert hours[-1].took.percentile(0.5) == pytest.approx(0.5, rel=0.06)
    tag = Part(Kind.TAG, "create_project")
    assert [one.failed for one in kept(kernel, tag, HOUR)] == [6, 6]


def test_parts_are_told_apart_when_a_minute_is_counted(kernel: Kernel) -> None:
    at = last_minute(kernel)
    make_receiver(kernel, "desk", "https://desk.example/in")
    order_id = ended(kernel, at + SECOND, 1.0, started_at=at + SECOND / 2)
    ended(kernel, at + SECOND, 2.0, select_tag="other", state="failed")
    there = {"origin": "https://desk.example:443", "url": "https://desk.example/in/7"}
    owed = {"created_at": at + SECOND, "state": "dead", "finished_at": at + 9 * SECOND}
    delivery_id = make_delivery(kernel, order_id, **there, **owed)
    make_attempt(kernel, delivery_id, at + 2 * SECOND, "timeout")
    make_attempt(kernel, delivery_id, at + 3 * SECOND)
    found = counted(kernel, at)
    tag, failing = found[Part(Kind.TAG, "create_project")], found[Part(Kind.TAG, "other")]
    assert (tag.finished, tag.failed, failing.finished, failing.failed) == (1, 0, 1, 1)
    assert tag.queued.percentile(0.5) == pytest.approx(0.5, rel=0.06)
    assert tag.ran.percentile(0.5) == pytest.approx(0.5, rel=0.06)
    assert failing.ran.percentile(0.5) is None, "it ended without a run"
    assert found[Part(Kind.CALLER, "anonymous")].finished == 2
    named = found[Part(Kind.RECEIVER, "anonymous/desk")]
    for one in (tag, named, found[Part(Kind.HOST, "https://desk.example:443")]):
        assert (one.attempts, one.delivered, one.dead, one.reasons) == (2, 1, 1, {"timeout": 1})
        assert one.delivered_in.percentile(0.5) == pytest.approx(2.0, rel=0.06)


def test_parts_are_estimated_when_a_minute_has_more_than_the_sample(kernel: Kernel) -> None:
    at = last_minute(kernel)
    for number in range(300):
        tag = "common" if number % 3 else "rare"
        then = at + number * SECOND / 6
        # The random digits, by which rows are chosen, are spread evenly over both tags.
        made = new_id(then)[:-4] + f"{number * 40503 % 65536:04x}"
        ended(kernel, then, 0.1, id=made, select_tag=tag)
        if not number % 3:
            make_attempt(kernel, make_delivery(kernel, made), at + SECOND, "timeout")
    found = counted(kernel, at, 50)
    assert (found[EVERYTHING].finished, found[EVERYTHING].attempts) == (300, 100)
    common, rare = found[Part(Kind.TAG, "common")], found[Part(Kind.TAG, "rare")]
    assert common.finished + rare.finished == pytest.approx(300, abs=3)
    assert common.finished == pytest.approx(200, rel=0.1)
    assert found[Part(Kind.TAG, "rare")].reasons["timeout"] == pytest.approx(100, abs=3)


def test_smallest_parts_are_added_up_when_there_are_too_many(kernel: Kernel) -> None:
    at = last_minute(kernel)
    for number in range(minutes.PARTS + 5):
        for _ in range(2 if number < 3 else 1):
            ended(kernel, at + SECOND, select_tag=f"tag-{number:02}")
    found = {part: one for part, one in counted(kernel, at).items() if part.kind is Kind.TAG}
    assert len(found) == minutes.PARTS + 1
    assert found[Part(Kind.TAG)].finished == 5
    assert {f"tag-{n:02}" for n in range(3)} <= {part.name for part in found}
    rows.write(kernel)
    assert sum(one.finished for one in kept(kernel, Part(Kind.TAG))) == 5


def test_durations_of_many_orders_are_a_fair_sample_when_a_minute_has_too_many(
    kernel: Kernel,
) -> None:
    sample = 20
    at = last_minute(kernel)
    for number in range(200):  # the first half of the minute is slow
        ended(kernel, at + number * SECOND / 4, 2.0 if number < 100 else 0.1)
    found = counted(kernel, at, sample)[EVERYTHING]
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
