"""Times on the wire (RFC 3339, section 5.6)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.formats.moments import FIRST, moment

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-20T12:00:00Z", NOON),
        ("2026-11-20t12:00:00z", NOON),
        ("2026-11-20T13:00:00+01:00", NOON),
        ("2026-11-19T22:30:00-13:30", NOON),
        ("2026-11-20T12:00:00-00:00", NOON),
        ("2026-11-20T12:00:00.5Z", NOON + timedelta(seconds=0.5)),
        ("2026-11-20T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        ("1970-01-01T00:00:00Z", FIRST),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_time_is_read_in_utc(text: str, found: datetime) -> None:
    assert moment(text) == found


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "2026-11-20",
            "2026-11-20T12:00:00",
            "2026-11-20 12:00:00Z",
            "20261120T120000Z",
        ),
        *("2026-11-20T12:00Z", "2026-11-20T12:00:00+0100", "2026-11-20T24:00:00Z"),
        *("2026-02-30T12:00:00Z", "2026-11-20T12:00:60Z", "2026-11-20T12:00:00+25:00"),
        *("2026-11-20T12:00:00+01:75", "2026-11-20T12:00:00-24:00", "2026-11-20T12:60:00Z"),
        *("1969-12-31T23:59:59Z", "1970-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
        *("0001-01-01T00:00:00+10:00", "２０２６-11-20T12:00:00Z", "2026-11-20T12:00:00Z\n"),
        *("2026-11-20T12:00:00.Z", "2026-11-20T12:00:00." + "1" * 4300 + "Z"),
        *(0, 1.5, True, None, [], {}, NOON),
    ],
)
def test_what_is_no_time_is_none(text: Any) -> None:
    assert moment(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert moment(text) is None or text


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)))
def test_time_comes_back_as_it_was_said(said: datetime) -> None:
    assert moment(said.isoformat()) == said
