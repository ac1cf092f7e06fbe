"""Series for charts, made of the rows of minutes and of what has none yet. On each database."""

import pytest
from sqlalchemy import event, insert

from kernel.db.tables.operating.trends import COUNTS
from kernel.insight.trends import rows
from kernel.insight.trends.minutes import MINUTE, floor
from kernel.insight.trends.rows import HOUR, QUARTER
from kernel.insight.trends.series import Span, Trends
from kernel.insight.trends.tallies import Kind, Part, Tally
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_attempt, make_delivery
from tests.support.trends import SECOND, ended, go_on_to, write_all


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    """A kernel at 20 s into a minute, so that none ends during a test."""
    return go_on_to(kernel, 44)


def test_trend_tells_of_now_when_no_worker_has_counted(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_attempt(kernel, make_delivery(kernel, ended(kernel, now, 0.2)), now)
    trend = Trends(kernel).read(Span.HOUR)
    assert len(trend.points) == 60
    assert (trend.accepted, trend.finished, trend.success) == (1, 1, 1.0)
    assert sum(point.finished for point in trend.points[-2:]) == 1
    assert trend.p50 == pytest.approx(0.2, rel=0.06)


@pytest.mark.parametrize("minute", [0, 14, 59])
def test_trend_of_a_day_is_per_minute_when_minutes_are_added_up(
    kernel: Kernel, minute: int
) -> None:
    at = rows.aligned(go_on_to(kernel, minute).clock.now() - 2 * HOUR, QUARTER)
    for number in range(30):
        ended(kernel, at + number * SECOND)
    write_all(kernel)
    trend = Trends(kernel).read(Span.DAY)
    assert (len(trend.points), trend.finished) == (96, 30)
    assert max(point.finished for point in trend.points) == 2.0
    assert [point.success for point in trend.points] == [None] * 96


@pytest.mark.parametrize("span", list(Span))
def test_trend_counts_everything_once_when_rows_of_all_widths_meet(
    kernel: Kernel, span: Span
) -> None:
    now = kernel.clock.now()
    for ago in (SECOND, MINUTE, 3 * MINUTE, 20 * MINUTE, 40 * MINUTE):
        ended(kernel, now - ago)
    if span is not Span.HOUR:
        ended(kernel, now - 3 * HOUR)
    write_all(kernel)
    trend = Trends(kernel).read(span)
    assert trend.finished == (5 if span is Span.HOUR else 6)
    tags = Trends(kernel).by_part(span, Kind.TAG)
    assert {part.name: one.finished for part, one in tags.items()} == {
        "create_project": trend.finished
    }


def test_trend_tells_of_the_time_before_when_there_are_rows(kernel: Kernel) -> None:
    now = kernel.clock.now()
    for ago in (10 * MINUTE, 70 * MINUTE, 80 * MINUTE):
        ended(kernel, now - ago)
    write_all(kernel)
    trend = Trends(kernel).read(Span.HOUR)
    assert (trend.total.finished, trend.before.finished) == (1, 2)


def test_trend_is_of_a_part_when_one_is_asked_for(kernel: Kernel) -> None:
    now = kernel.clock.now()
    ended(kernel, now - 10 * MINUTE, select_tag="other")
    ended(kernel, now)
    write_all(kernel)
    trends = Trends(kernel)
    assert trends.read(Span.HOUR, Part(Kind.TAG, "other")).finished == 1
    assert trends.read(Span.HOUR, Part(Kind.CALLER, "anonymous")).finished == 2
    assert trends.read(Span.HOUR, Part(Kind.TAG, "unheard of")).finished == 0


def test_trend_asks_for_few_minutes_when_it_has_been_read_before(kernel: Kernel) -> None:
    trends = Trends(kernel)
    said: list[str] = []
    event.listen(kernel.engines.single, "before_cursor_execute", lambda *call: said.append(call[2]))
    trends.read(Span.HOUR)
    first, said[:] = len(said), []
    kernel.clock.shift(2)
    trends.read(Span.DAY, Part(Kind.TAG, "create_project"))
    assert first > 200
    assert len(said) < 24


def test_rows_that_a_chart_reads_are_few_when_many_minutes_were_written(kernel: Kernel) -> None:
    now = floor(kernel.clock.now())
    with kernel.write_session() as session:
        for number in range(0, 35 * 24 * 60, 60):
            at = now - number * MINUTE
            row = {"width": 60, "kind": "all", "name": ""} | Tally(at, finished=1).row()
            session.execute(insert(COUNTS), row)
    for span in Span:
        trend = Trends(kernel).read(span)
        assert trend.finished <= span.bins
    assert trend.finished >= 167
