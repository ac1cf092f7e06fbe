"""What people look at: counts, trends, hosts and pages of deliveries, on both databases."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from kernel import minutes, redelivery
from kernel.columns import first_id, new_id, time_of
from kernel.insight import deliveries as listing
from kernel.insight.counts import counts
from kernel.insight.deliveries import Cursor, Page, page, reach
from kernel.insight.fresh import Fresh
from kernel.insight.hosts import Breaker, Host, hosts
from kernel.insight.trends import Span, Trends
from kernel.insight.work import processes
from kernel.minutes import MINUTE, Durations, floor
from kernel.models import ATTEMPTS, DELIVERIES, ORDERS
from kernel.origins import BREAK_AFTER, Origins
from kernel.redelivery import DeliveryFilter, pause, replay, replay_from, replay_step
from kernel.roster import Presence
from kernel.runtime import Kernel
from kernel.states import DeliveryState
from tests.factories import make_delivery, make_order

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
A = "https://receiver.example:443"
OTHER = {"origin": "https://other.example:8443", "url": "https://other.example:8443/"}


def ended(kernel: Kernel, at: datetime, seconds: float = 1.0) -> str:
    """Make an order that ended at a moment, so many seconds after it was accepted."""
    began = at - timedelta(seconds=seconds)
    made = {"id": new_id(began), "created_at": began, "run_after": began}
    return make_order(kernel, **made, state="success", finished_at=at, message="success")


def attempted(kernel: Kernel, delivery_id: str, at: datetime, reason: str | None = None) -> None:
    """Make an attempt that began at a moment."""
    row = {"delivery_id": delivery_id, "number": 1, "started_at": at, "duration_ms": 5}
    with kernel.transaction() as session:
        session.execute(insert(ATTEMPTS).values(**row, reason=reason, phases="{}"))


@pytest.fixture
def four_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day is long to count."""
    monkeypatch.setattr(minutes, "REACH", 4 * HOUR)


def last_minute(kernel: Kernel) -> datetime:
    """The last minute that can be counted for good."""
    return minutes.settled(kernel.clock.now()) - MINUTE


# ---- Minutes -------------------------------------------------------------------------------------


def test_minute_is_counted_from_the_rows_when_it_is_over(kernel: Kernel) -> None:
    at = last_minute(kernel)
    for second in (1, 30, 59):
        order_id = ended(kernel, at + second * SECOND, 0.5)
    ended(kernel, at - SECOND)
    ended(kernel, at + MINUTE)
    delivery_id = make_delivery(kernel, order_id)
    attempted(kernel, delivery_id, at, "timeout")
    attempted(kernel, delivery_id, at + SECOND)
    with kernel.reading() as session:
        found = minutes.tally(session, at, at + MINUTE)
    # The one that ended a second into the next minute began at the end of this one.
    assert (found.accepted, found.finished, found.attempts, found.delivered) == (4, 3, 2, 1)
    assert found.took.percentile(0.5) == pytest.approx(0.5, rel=0.05)


@pytest.mark.usefixtures("four_hours")
def test_minutes_are_written_back_to_the_reach_when_nobody_had_before(kernel: Kernel) -> None:
    ended(kernel, last_minute(kernel) + SECOND)
    written = 0
    while made := minutes.write(kernel):
        assert made <= minutes.BATCH
        written += made
    assert written in (238, 239)
    with kernel.reading() as session:
        found = minutes.read(session, kernel.clock.now() - minutes.REACH - MINUTE)
    assert [one.began_at for one in found] == [
        found[0].began_at + n * MINUTE for n in range(written)
    ]
    assert sum(one.finished for one in found) == 1


@pytest.mark.usefixtures("four_hours")
def test_minutes_go_on_where_they_ended_when_time_has_passed(kernel: Kernel) -> None:
    while minutes.write(kernel):
        pass
    assert minutes.write(kernel) == 0
    kernel.clock.shift(180)
    assert minutes.write(kernel) == 3


def test_old_minutes_are_forgotten_when_new_ones_are_written(kernel: Kernel) -> None:
    minutes.write(kernel)
    kernel.clock.shift(minutes.KEEP.total_seconds() + 86_400)
    minutes.write(kernel)
    with kernel.reading() as session:
        found = minutes.read(session, datetime.fromisoformat("2000-01-01T00:00:00Z"))
    assert len(found) == minutes.BATCH


def test_durations_of_many_orders_are_a_fair_sample_when_a_minute_has_too_many(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minutes, "SAMPLE", 20)
    at = last_minute(kernel)
    for number in range(200):  # the first half of the minute is slow
        ended(kernel, at + number * SECOND / 4, 2.0 if number < 100 else 0.1)
    with kernel.reading() as session:
        found = minutes.tally(session, at, at + MINUTE)
    assert found.finished == 200
    assert len(found.took.counts) == 2
    assert sum(found.took.counts.values()) <= 2 * minutes.SAMPLE


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
    assert time_of(first_id(moment)) == moment.replace(microsecond=123_000)


# ---- Trends --------------------------------------------------------------------------------------


def test_trend_tells_of_now_when_no_worker_has_counted(kernel: Kernel) -> None:
    now = kernel.clock.now()
    attempted(kernel, make_delivery(kernel, ended(kernel, now, 0.2)), now)
    trend = Trends(kernel).read(Span.HOUR)
    assert len(trend.points) == 60
    assert (trend.accepted, trend.finished, trend.success) == (1, 1, 1.0)
    assert trend.points[-1].finished == 1
    assert trend.p50 == pytest.approx(0.2, rel=0.06)


@pytest.mark.usefixtures("four_hours")
def test_trend_of_a_day_is_per_minute_when_minutes_are_added_up(kernel: Kernel) -> None:
    at = floor(kernel.clock.now() - 3 * HOUR)
    for number in range(30):
        ended(kernel, at + number * SECOND)
    while minutes.write(kernel):
        pass
    trend = Trends(kernel).read(Span.DAY)
    assert (len(trend.points), trend.finished) == (96, 30)
    assert max(point.finished for point in trend.points) == 2.0
    assert [point.success for point in trend.points] == [None] * 96


def test_trend_asks_for_few_minutes_when_it_has_been_read_before(kernel: Kernel) -> None:
    trends = Trends(kernel)
    said: list[str] = []
    event.listen(kernel.reader, "before_cursor_execute", lambda *call: said.append(call[2]))
    trends._ask(Span.HOUR)
    first, said[:] = len(said), []
    trends._ask(Span.DAY)
    assert first > 200
    assert len(said) < 20


def test_answer_is_asked_for_once_when_many_look() -> None:
    asked, moment = [0], [0.0]

    def ask() -> int:
        asked[0] += 1
        moment[0] += 1.0
        return asked[0]

    fresh = Fresh(ask, lambda: moment[0])
    assert [fresh.read() for _ in range(3)] == [1, 1, 1]
    moment[0] += 9.9  # it took a second, so it is kept for ten
    assert fresh.read() == 1
    moment[0] += 0.2
    assert fresh.read() == 2
    fresh.forget()
    assert fresh.read() == 3


# ---- Counts, processes, hosts ----------------------------------------------------------------


def test_counts_name_the_order_that_waits_longest_when_orders_wait(kernel: Kernel) -> None:
    oldest = make_order(kernel)
    make_order(kernel)
    make_order(kernel, state="failed", finished_at=kernel.clock.now())
    found = counts(kernel)
    assert (found.states["pending"], found.states["failed"], found.states["running"]) == (2, 1, 0)
    assert found.oldest_id == oldest
    assert found.oldest_at == time_of(oldest)


def test_process_is_not_counted_on_when_it_has_been_silent(kernel: Kernel) -> None:
    with kernel.transaction() as session:
        now = kernel.clock.now()
        Presence("worker", now).note(session, now, ["b", "a"], [A], ["https://half.example:443"])
        Presence("dispatcher", now + SECOND).note(session, now - timedelta(minutes=5), [], [])
    first, second = processes(kernel)
    assert (first.alive, first.running, first.broken) == (True, ("a", "b"), (A,))
    assert first.probing == ("https://half.example:443",)
    assert not second.alive


def listed(kernel: Kernel) -> dict[str, Host]:
    found, more = hosts(kernel, processes(kernel))
    assert more == 0
    return {one.origin: one for one in found}


def test_host_is_shown_with_what_waits_when_something_does(kernel: Kernel) -> None:
    now = kernel.clock.now()
    make_delivery(kernel, next_attempt_at=now - HOUR)
    make_delivery(kernel, late=True)
    make_delivery(kernel, late=True, next_attempt_at=now + HOUR)
    make_delivery(kernel, state="dead", late=True, finished_at=now, next_attempt_at=now)
    old = now - timedelta(days=2)
    make_delivery(kernel, state="dead", late=True, finished_at=old, next_attempt_at=old)
    make_delivery(kernel, state="delivered", finished_at=now, **OTHER)
    found = listed(kernel)
    assert list(found) == [A]
    assert (found[A].due, found[A].dead, found[A].held) == (2, 1, 0)
    assert found[A].oldest_due == now - HOUR
    assert (found[A].host, found[A].breaker, found[A].pauses) == (
        "receiver.example:443",
        "closed",
        [],
    )


def test_host_is_shown_as_paused_when_its_name_or_port_is(kernel: Kernel) -> None:
    make_delivery(kernel)
    make_delivery(kernel, **OTHER)
    for name in ("receiver.example", "other.example:1", "quiet.example"):
        pause(kernel, host=name)
    found = listed(kernel)
    assert found[A].pauses == ["receiver.example"]
    assert found[A].held == 1
    assert found["https://other.example:8443"].pauses == []
    assert found["quiet.example"].pauses == ["quiet.example"]


def test_breaker_is_open_or_half_when_a_living_process_says_so(kernel: Kernel) -> None:
    half = "https://half.example:443"
    with kernel.transaction() as session:
        now = kernel.clock.now()
        Presence("worker", now).note(session, now, [], [A], [half])
        Presence("worker", now).note(session, now, [], [], [A])
    found = listed(kernel)
    assert (found[A].breaker, found[A].open_in) == (Breaker.OPEN, 1)
    assert (found[half].breaker, found[half].open_in) == (Breaker.HALF, 0)


def test_breaker_is_half_open_when_its_pause_is_over() -> None:
    origins = Origins(8)
    for _ in range(BREAK_AFTER):
        origins.begin(A)
        origins.end(A, "timeout", 0.0)
    assert (origins.broken(1.0), origins.probing(1.0)) == ([A], [])
    assert (origins.broken(11.0), origins.probing(11.0)) == ([], [A])


# ---- Pages of deliveries -------------------------------------------------------------------------


def over(kernel: Kernel, age: int, state: str = "dead", **values: Any) -> str:
    """Make a delivery that ended so many hours ago."""
    then = kernel.clock.now() - age * HOUR
    row = {"id": new_id(then), "state": state, "created_at": then, "finished_at": then}
    return make_delivery(kernel, **{**row, "next_attempt_at": then, **values})


def pages(kernel: Kernel, wanted: DeliveryFilter, limit: int = 2) -> Iterator[Page]:
    """Go through all pages."""
    below: Cursor | None = None
    while True:
        with kernel.reading() as session:
            found = page(session, wanted, below, limit)
        yield found
        below = found.next
        if below is None:
            return


def ids(kernel: Kernel, **wanted: Any) -> list[str]:
    """The ids on all pages of a filter."""
    return [row.id for one in pages(kernel, DeliveryFilter(**wanted)) for row in one.rows]


def test_pages_hold_every_delivery_once_when_a_filter_is_gone_through(kernel: Kernel) -> None:
    dead = [over(kernel, age) for age in (1, 2, 3, 4, 5)]
    away = [over(kernel, 6, **OTHER), over(kernel, 7, "delivered", **OTHER)]
    waiting = [make_delivery(kernel), make_delivery(kernel, state="held", **OTHER)]
    assert ids(kernel) == [*reversed(waiting), *dead, *away]
    assert ids(kernel, state=DeliveryState.DEAD) == [*dead, away[0]]
    assert ids(kernel, state=DeliveryState.PENDING) == waiting[:1]
    assert ids(kernel, state=DeliveryState.HELD, host="other.example") == waiting[1:]
    assert ids(kernel, host="other.example") == [waiting[1], *away]
    assert ids(kernel, caller_id=1, state=DeliveryState.DELIVERED) == away[1:]
    assert ids(kernel, caller_id=2) == []


def test_pages_keep_to_a_range_of_time_when_it_has_one(kernel: Kernel) -> None:
    made = [over(kernel, age) for age in (1, 3, 5)]
    late = over(kernel, 9, finished_at=kernel.clock.now())
    now = kernel.clock.now()
    dead = DeliveryState.DEAD
    assert ids(kernel, since=now - 4 * HOUR) == made[:2]
    assert ids(kernel, state=dead, since=now - 4 * HOUR) == made[:2]
    assert ids(kernel, state=dead, since=now - 4 * HOUR, until=now - 2 * HOUR) == made[1:2]
    # Without a range the dead are shown in the order of their end.
    assert ids(kernel, state=dead) == [late, *made]


def test_dead_deliveries_are_all_shown_when_they_ended_together(kernel: Kernel) -> None:
    then = kernel.clock.now()
    made = {over(kernel, age, finished_at=then) for age in range(5)}
    found = ids(kernel, state=DeliveryState.DEAD)
    assert (len(found), set(found)) == (5, made)


def test_page_says_how_far_it_looked_when_little_was_found(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = over(kernel, 50, **OTHER)
    for age in range(1, 39):
        over(kernel, age)
    monkeypatch.setattr(listing, "SIZES", (8, 8))
    monkeypatch.setattr(listing, "SECONDS", 0.0)
    found = list(pages(kernel, DeliveryFilter(host="other.example")))
    assert [len(one.rows) for one in found] == [0, 0, 0, 0, 1]
    assert [one.complete for one in found] == [False] * 4 + [True]
    assert found[-1].rows[0].id == rare


def test_page_shows_the_latest_attempt_when_there_are_several(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel)
    attempted(kernel, delivery_id, kernel.clock.now(), "timeout")
    attempted(kernel, delivery_id, kernel.clock.now(), "dns")
    with kernel.reading() as session:
        found = page(session, DeliveryFilter(), None, 10)
    assert found.latest[delivery_id].reason == "dns"


@pytest.mark.parametrize("wanted", [{}, {"state": DeliveryState.DEAD}, {"host": "other.example"}])
def test_reach_is_what_a_replay_sends_when_it_is_counted_first(
    kernel: Kernel, wanted: dict[str, Any]
) -> None:
    for age in (1, 2, 3):
        over(kernel, age)
    over(kernel, 4, "delivered", **OTHER)
    over(kernel, 5, **OTHER)
    make_delivery(kernel, **OTHER)
    found = reach(kernel, DeliveryFilter(**wanted))
    assert found.complete
    assert found.total == replay(kernel, DeliveryFilter(**wanted)) > 0


def test_reach_says_that_there_may_be_more_when_it_ran_out_of_time(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SIZES", (2, 2))
    for age in range(4):
        over(kernel, age)
    found = reach(kernel, DeliveryFilter(), seconds=0)
    assert (found.total, found.complete) == (2, False)


# ---- Indexes -------------------------------------------------------------------------------------

BIG = {"orders", "deliveries", "attempts"}
# Of 3,000 in each table: a fourth of the deliveries wait, and a count reads them twice.
ROWS_READ = 2000


def fill(kernel: Kernel, rows: int = 3000) -> None:
    """Insert so many orders that have ended, their deliveries and attempts, over two hours."""
    now = kernel.clock.now()
    orders, owed, posts = [], [], []
    for number in range(rows):
        then = now - 2 * HOUR * (rows - number) / rows
        # The backlog is young: whoever looks for it by age goes past all that has ended.
        state = "pending" if number > 0.9 * rows else ("success", "failed")[number % 2]
        base = {"caller_id": 1, "created_at": then}
        order_id, delivery_id = new_id(then), new_id(then)
        orders.append(
            base
            | {"id": order_id, "select_tag": "create_project", "args": "{}", "callback_url": A}
            | {"fingerprint": "0" * 64, "run_after": then, "state": state}
            | {"finished_at": None if state == "pending" else then + SECOND}
        )
        ends = ("delivered", "dead", "pending", "held")[number % 41 % 4]
        over = ends in ("delivered", "dead")
        owed.append(
            base
            | {"id": delivery_id, "order_id": order_id, "url": A, "body": b"{}", "state": ends}
            | {"origin": f"https://r{number % 7}.example:443", "late": True}
            | {"next_attempt_at": then, "finished_at": then + SECOND if over else None}
        )
        reason = None if number % 3 else "timeout"
        post = {"delivery_id": delivery_id, "number": 1, "started_at": then, "duration_ms": 9}
        posts.append(post | {"reason": reason, "phases": "{}"})
    with kernel.transaction() as session:
        for table, found in ((ORDERS, orders), (DELIVERIES, owed), (ATTEMPTS, posts)):
            session.execute(insert(table), found)
    with kernel.engine.connect() as connection:
        connection.execute(text("ANALYZE TABLE orders, deliveries, attempts"))


def asked(kernel: Kernel) -> list[tuple[str, Any]]:
    """Ask everything there is to ask; return the statements that were said."""
    said: list[tuple[str, Any]] = []
    event.listen(
        kernel.reader, "before_cursor_execute", lambda *call: said.append((call[2], call[3]))
    )
    now = kernel.clock.now()
    counts(kernel)
    hosts(kernel, processes(kernel))
    with kernel.reading() as session:
        minutes.tally(session, now - HOUR, now - HOUR + MINUTE)
    ranges: list[dict[str, Any]] = [{}, {"since": now - HOUR}, {"until": now - HOUR}]
    for state in (None, *DeliveryState):
        for host in (None, "r1.example"):
            for caller_id in (None, 1):
                for when in ranges:
                    wanted = DeliveryFilter(caller_id, state, host, **when)
                    found = list(zip(pages(kernel, wanted, 20), range(2), strict=False))
                    assert found
    reach(kernel, DeliveryFilter(state=DeliveryState.DEAD))
    replay_step(kernel, DeliveryFilter(host="nobody.example"), replay_from(kernel))
    # The counts of all states go through everything up to a limit that these rows do not reach.
    about = [one for one in said if any(table in one[0] for table in BIG)]
    return [one for one in about if "UNION ALL" not in one[0]]


def test_every_question_is_answered_from_an_index_when_there_are_many_rows(
    make_kernel: Callable[..., Kernel], mariadb_rows_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    # Small steps, as a million rows would take many of them.
    monkeypatch.setattr(listing, "SIZES", (50, 100))
    monkeypatch.setattr(redelivery, "LOOKED_AT", 100)
    fill(kernel)
    statements = asked(kernel)
    assert len(statements) > 100
    with kernel.engine.connect() as connection:
        for statement, parameters in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all()
            assert not [row for row in plan if row.type == "ALL" and row.table in BIG], statement
            connection.exec_driver_sql("FLUSH STATUS")
            connection.exec_driver_sql(statement, parameters).all()
            status = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler\\_read%%'")
            assert sum(int(value) for _, value in status) < ROWS_READ, (statement, plan)
