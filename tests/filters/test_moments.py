"""Times as people write them."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.filters.moments import Here, moment, zone_named

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("text", "zone", "found"),
    [
        ("2h", UTC, "2026-11-20T10:30Z"),
        ("90", UTC, "2026-11-20T12:28:30Z"),
        ("1.5d", UTC, "2026-11-19T00:30Z"),
        ("12:00", UTC, "2026-11-20T12:00Z"),
        ("12:30", UTC, "2026-11-20T12:30Z"),
        ("14:00", UTC, "2026-11-19T14:00Z"),
        ("14:00", SHANGHAI, "2026-11-20T06:00Z"),
        ("20:31:05", SHANGHAI, "2026-11-19T12:31:05Z"),
        ("0:00", SHANGHAI, "2026-11-19T16:00Z"),
        ("2026-11-20", SHANGHAI, "2026-11-19T16:00Z"),
        ("2026-11-20 09:15", SHANGHAI, "2026-11-20T01:15Z"),
        ("2026-11-20T09:15:30", UTC, "2026-11-20T09:15:30Z"),
        ("2026-11-20T09:15:00+01:00", SHANGHAI, "2026-11-20T08:15Z"),
        (" 2026-11-20t09:15:00z ", SHANGHAI, "2026-11-20T09:15Z"),
    ],
)
def test_time_is_read_in_the_readers_zone(text: str, zone: tzinfo, found: str) -> None:
    assert moment(text, Here(NOW, zone)) == datetime.fromisoformat(found)


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "25:00", "14:60", "2h ago", "-2h", "0h", "1400:00", "2026-13-01"),
        *("2026-11-20T25:00", "1969-12-31", "9999999d", "99999999999999999999d", "١٢:٠٠"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-11-20 12:00 Uhr"),
    ],
)
def test_time_is_refused_when_it_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        moment(text, Here(NOW))


def test_time_of_day_ends_a_window_after_its_beginning() -> None:
    after = datetime(2026, 11, 19, 14, tzinfo=UTC)
    assert moment("18:00", Here(NOW), after) == after + timedelta(hours=4)
    assert moment("02:00", Here(NOW), after) == after + timedelta(hours=12)
    assert moment("14:00", Here(NOW), after) == after


def test_time_of_day_is_yesterdays_when_the_night_had_25_hours() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 10, 25, 11, tzinfo=UTC)  # 12:00 in Berlin, after the clocks went back
    assert moment("13:00", Here(now, berlin)) == datetime(2026, 10, 24, 11, tzinfo=UTC)


@given(st.text(max_size=40))
def test_text_of_any_kind_is_a_time_in_utc_or_refused(text: str) -> None:
    try:
        found = moment(text, Here(NOW, SHANGHAI))
    except ValueError:
        return
    assert found.tzinfo is UTC


@given(st.text(max_size=40))
def test_zone_is_one_or_refused(text: str) -> None:
    try:
        zone = zone_named(text)
    except ValueError:
        return
    assert NOW.astimezone(zone) == NOW


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/localtime", "", "Mars/Olympus", "+99:00"])
def test_zone_is_refused_when_it_is_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        zone_named(name)
