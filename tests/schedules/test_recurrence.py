"""Times of cron expressions: in real zones, when clocks change, after outages; what is refused."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given
from hypothesis import strategies as st

from kernel.schedules.recurrence import LEAST, MOST, Recurrence, cron_problem, turn, zone_problem

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next times in UTC, without their year."""
    found = islice(Recurrence(cron, zone).after(at(after)), count)
    return [f"{one:%m-%d %H:%M}" for one in found]


def test_times_are_the_zones() -> None:
    assert times("0 2 * * *", "UTC", "2026-01-01", 2) == ["01-01 02:00", "01-02 02:00"]
    assert times("0 2 * * *", "Europe/Berlin", "2026-01-01", 1) == ["01-01 01:00"]
    assert times("0 2 * * *", "Europe/Berlin", "2026-06-30 12:00", 1) == ["07-01 00:00"]
    assert times("30 5 * * *", "Asia/Kolkata", "2026-01-01", 1) == ["01-02 00:00"]
    assert times("0 9 * * MON-FRI", "UTC", "2026-01-02 10:00", 1) == ["01-05 09:00"]


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # Clocks go from 2:00 to 3:00: a time between is due at 3:00, together with its like.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["03-29 01:00", "03-30 00:30"]),
        ("0,45 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["03-29 01:00", "03-30 00:00"]),
        ("30 2 * * *", "America/New_York", "2026-03-07 12:00", ["03-08 07:00", "03-09 06:30"]),
        # Midnight itself does not exist.
        ("0 0 * * *", "America/Santiago", "2026-09-05 12:00", ["09-06 04:00", "09-07 03:00"]),
        # Half an hour is left out.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 10:00", ["10-03 15:30", "10-04 15:15"]),
        # Clocks go from 3:00 back to 2:00: a time that exists twice is due at the first.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30"]),
        # Asked in the second of the two hours, and between the two.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 01:15", ["10-26 01:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25 00:45", ["10-26 01:30"]),
        ("30 1 * * *", "America/New_York", "2026-10-31 12:00", ["11-01 05:30", "11-02 06:30"]),
        # A star at the beginning of minute or hour: as often as the clock shows it.
        ("30 * * * *", "Europe/Berlin", "2026-03-29 00:00", ["03-29 00:30", "03-29 01:30"]),
        ("30 * * * *", "Europe/Berlin", "2026-10-25 00:00", ["10-25 00:30", "10-25 01:30"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["03-30 00:00", "03-30 00:30"]),
        # The clock skips midnight, by which cronsim comes to a day.
        ("*/30 0 * * SUN", "America/Havana", "2026-03-07", ["03-15 04:00", "03-15 04:30"]),
        ("0 */2 * * SUN", "America/Havana", "2026-03-08", ["03-08 06:00", "03-08 08:00"]),
        ("0 * * * FRI", "Africa/Cairo", "2026-04-23 20:00", ["04-23 22:00", "04-23 23:00"]),
        ("*/15 0 24 4 *", "Africa/Cairo", "2026-01-01", ["04-23 22:00", "04-23 22:15"]),
        # Half an hour is left out, and half an hour comes twice.
        ("*/15 2 * * *", "Australia/Lord_Howe", "2026-10-03 10:00", ["10-03 15:30", "10-03 15:45"]),
        (
            *("*/15 1 * * *", "Australia/Lord_Howe", "2026-04-04 14:20"),
            ["04-04 14:30", "04-04 14:45", "04-04 15:00", "04-04 15:15", "04-05 14:30"],
        ),
        # A zone without such changes.
        ("30 2 * * *", "Asia/Tokyo", "2026-03-28 12:00", ["03-28 17:30", "03-29 17:30"]),
    ],
)
def test_each_time_of_day_comes_once_when_clocks_change(
    cron: str, zone: str, after: str, expected: list[str]
) -> None:
    assert times(cron, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("0 2 * *", "has 4 fields, and these are five: minute, hour, day of month, month, day of"),
        ("0 0 2 * * *", "has 6 fields"),
        ("@daily", "has 1 fields"),
        ("", "has 0 fields"),
        ("60 2 * * *", "'60 2 * * *' is no cron expression: bad minute"),
        ("0 2 * * FUNDAY", "bad day-of-week"),
        ("0 2 31-30 * *", "bad day-of-month"),
        ("0 2 * * \u017fun", "letters that are not ASCII"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("*/0 * * * *", "bad minute"),
        ("0 2 * * *" + " " * 100, "at most 100 characters"),
    ],
)
def test_what_is_no_cron_expression_is_refused_in_words(cron: str, says: str) -> None:
    assert says in (cron_problem(cron) or "")
    with pytest.raises(ValueError, match=r"."):
        Recurrence(cron, "UTC")


@pytest.mark.parametrize(
    "zone",
    [
        *("", "Mars/Phobos", "Europe", "europe/berlin", "../../etc/passwd", "/etc/localtime"),
        *("a\0b", "localtime", "CET-1CEST", "桥", "x" * 5000),
    ],
)
def test_what_is_no_zone_is_refused_in_words(zone: str) -> None:
    said = zone_problem(zone) or ""
    assert "is no time zone that is known here; write a name such as Europe/Berlin" in said
    assert len(said) < 500


def test_usual_zones_are_known() -> None:
    for zone in ("UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"):
        assert zone_problem(zone) is None


@given(st.text(alphabet="0123456789*/,-#LWMONFRIJAN \t桥²", max_size=40))
@example("1#2#3 * * * *")
@example("* * L/2 * 5L/3")
def test_any_text_is_taken_or_refused(text: str) -> None:
    said = cron_problem(text)
    if said is None:
        assert Recurrence(text, "Europe/Berlin").next(at("2026-01-01")) is not None


# ---- Which of the times that passed is fired -----------------------------------------------------

MINUTES = st.sampled_from(["0", "30", "*/20", "5-55/10", "*"])
HOURS = st.sampled_from(["*", "2", "1,2,3", "*/6", "0", "22-23"])
DAYS = st.sampled_from(["* * *", "1 * *", "* * SUN", "29 2 *", "* 3,10 *"])
CRONS = st.builds("{} {} {}".format, MINUTES, HOURS, DAYS)
STARRED = CRONS.filter(lambda cron: any(one.startswith("*") for one in cron.split()[:2]))
ZONES = st.sampled_from(
    [
        *("UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Asia/Kolkata"),
        *("Africa/Casablanca", "Pacific/Apia", "America/Havana", "Antarctica/Troll"),
        *("Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut", "Atlantic/Azores"),
    ]
)
# Around changes of clocks in each half of the world.
STARTS = st.sampled_from(["2026-03-07", "2026-03-28", "2026-04-04", "2026-09-05", "2026-10-24"])


@given(CRONS, ZONES, STARTS, st.integers(0, 3 * 86_400))
def test_times_rise_and_are_the_same_from_wherever_they_are_asked(
    cron: str, zone: str, start: str, seconds: int
) -> None:
    recurrence, begin = Recurrence(cron, zone), at(start)
    between = begin + timedelta(seconds=seconds)
    end = between + DAY
    all_ = list(takewhile(lambda one: one <= end, recurrence.after(begin)))
    assert all(one < other for one, other in pairwise([begin, *all_]))
    later = list(takewhile(lambda one: one <= end, recurrence.after(between)))
    assert later == [one for one in all_ if one > between]
    for one in all_:  # the clock on the wall shows it, unless a gap has just left it out
        local = one.astimezone(ZoneInfo(zone))
        before = (one - timedelta(minutes=1)).astimezone(ZoneInfo(zone))
        is_shown = cron.split()[1] != "2" or local.hour == 2
        assert is_shown or before.utcoffset() != local.utcoffset()


@given(STARRED, ZONES, STARTS)
def test_star_follows_the_clock_on_the_wall_minute_by_minute(
    cron: str, zone: str, start: str
) -> None:
    begin, days = at(start), 3
    minutes = (begin + timedelta(minutes=n) for n in range(1, days * 24 * 60))
    shown = {one: one.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for one in minutes}
    first, last = min(shown.values()) - LEAST, max(shown.values())
    matching = set(takewhile(lambda one: one <= last, CronSim(cron, first)))
    came = takewhile(lambda one: one in shown, Recurrence(cron, zone).after(begin))
    assert list(came) == [one for one, wall in shown.items() if wall in matching]


OUTAGES = st.lists(
    st.one_of(st.integers(1, 300), st.integers(300, 40 * 3600)), min_size=1, max_size=60
)


@given(CRONS, ZONES, STARTS, OUTAGES, st.integers(60, 3 * 86_400), st.data())
def test_each_time_is_fired_at_most_once_and_none_within_the_rule_is_lost(
    cron: str, zone: str, start: str, gaps: list[int], catch_up: int, data: st.DataObject
) -> None:
    """A sweep looks, then dies before or after its commit, at moments with gaps between them."""
    recurrence, now = Recurrence(cron, zone), at(start)
    allowed = timedelta(seconds=catch_up)
    due = recurrence.next(now)
    fired: list[datetime] = []
    looked = now
    for gap in gaps:
        now += timedelta(seconds=gap)
        if data.draw(st.integers(0, 3)) == 0:  # it dies before its commit: nothing has happened
            continue
        passed = list(takewhile(lambda one: one <= now, recurrence.after(looked)))  # noqa: B023
        if due is not None and due <= now:
            found = turn(recurrence, due, now, allowed)
            if not found.is_missed:
                fired.append(found.latest)
            due = found.next
        # The rule, told the other way round: the latest that passed, if it is not too old.
        rule = [one for one in passed[-1:] if one >= now - allowed]
        assert [one for one in fired if one in passed] == rule
        looked = now
        assert due == recurrence.next(now)
    assert len(fired) == len(set(fired))
    assert fired == sorted(fired)


def test_latest_missed_time_is_made_up_when_it_is_young_enough() -> None:
    nightly, due = Recurrence("0 2 * * *", "UTC"), at("2026-01-01 02:00")
    for now, latest, missed, upcoming in (
        ("2026-01-01 02:00", "2026-01-01 02:00", False, "2026-01-02 02:00"),
        ("2026-01-01 03:00", "2026-01-01 02:00", False, "2026-01-02 02:00"),
        ("2026-01-01 03:01", "2026-01-01 02:00", True, "2026-01-02 02:00"),
        ("2026-01-05 02:30", "2026-01-05 02:00", False, "2026-01-06 02:00"),
        ("2026-01-05 12:00", "2026-01-01 02:00", True, "2026-01-06 02:00"),
    ):
        found = turn(nightly, due, at(now), HOUR)
        assert (found.latest, found.is_missed) == (at(latest), missed)
        assert found.next == at(upcoming)


def test_long_outage_of_a_frequent_schedule_is_looked_through_in_bounded_time() -> None:
    often, now = Recurrence("* * * * *", "Europe/Berlin"), at("2026-06-01")
    found = turn(often, at("2001-01-01"), now, MOST)
    assert (found.latest, found.is_missed, found.next) == (now, False, now + LEAST)


def test_time_that_the_zone_does_not_have_any_more_is_fired_all_the_same() -> None:
    """Somebody was told of it; the zone's rules have changed since."""
    nightly = Recurrence("0 2 * * *", "Europe/Berlin")
    found = turn(nightly, at("2026-07-01 01:00"), at("2026-07-01 01:00:05"), HOUR)
    assert (found.latest, found.next) == (at("2026-07-01 01:00"), at("2026-07-02 00:00"))
