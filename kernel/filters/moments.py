"""Times as people write them: `14:00`, `2h`, `2026-11-29 14:00`, or RFC 3339. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kernel.formats.durations import seconds
from kernel.formats.moments import FIRST, HOUR, MINUTE, OFFSET

WORDS = "14:00, 2h (two hours ago), 2026-11-29 14:00 or 2026-11-29T14:00:00Z"
ZONELESS = "a time without an offset needs a zone"
DAY = timedelta(days=1)
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    rf"(?:[Tt ]{HOUR}:{MINUTE}(?::[0-9]{{2}}(?:\.[0-9]{{1,9}})?)?(?:[Zz]|{OFFSET})?)?",
    re.ASCII,
)
_OFFSET = re.compile(f"([+-])({HOUR}):?({MINUTE})")


@dataclass(frozen=True, slots=True)
class Here:
    """What a time without a date, or without an offset, is measured by."""

    now: datetime
    # None: a time has to name its offset.
    zone: tzinfo | None = UTC


def moment(text: str, here: Here, after: datetime | None = None) -> datetime:
    """Return the time that ``text`` names, in UTC. Raises ValueError.

    A duration is a time that long ago. A time of day is the latest one that has passed, or with
    ``after`` the first one from then on.
    """
    try:
        found = _moment(text.strip(), here, after).astimezone(UTC)
    except OverflowError:
        raise ValueError("no calendar has this moment in UTC") from None
    if found < FIRST:
        raise ValueError("it is before 1970")
    return found


def _moment(text: str, here: Here, after: datetime | None) -> datetime:
    clock = _CLOCK.fullmatch(text)
    if here.zone is None and clock:
        raise ValueError(ZONELESS)
    if clock:
        hour, minute, second = (int(part or 0) for part in clock.groups())
        return _time_of_day(time(hour, minute, second), here, after)
    if _DATE.fullmatch(text):
        # `fromisoformat` keeps six digits of a fraction and cuts the rest off.
        read = datetime.fromisoformat(text.upper())
        if read.tzinfo is None and here.zone is None:
            raise ValueError(ZONELESS)
        return read if read.tzinfo is not None else read.replace(tzinfo=here.zone)
    return here.now - timedelta(seconds=seconds(text))


def _time_of_day(at: time, here: Here, after: datetime | None) -> datetime:
    edge = (after or here.now).astimezone(here.zone)
    found = datetime.combine(edge.date(), at, here.zone)
    # Days are counted on the calendar of the zone, where some have 23 or 25 hours.
    if after is not None and found.astimezone(UTC) < after:
        return datetime.combine(edge.date() + DAY, at, here.zone)
    if after is None and found.astimezone(UTC) > here.now:
        return datetime.combine(edge.date() - DAY, at, here.zone)
    return found


def zone_named(name: str) -> tzinfo:
    """Return a time zone by its name (`Asia/Shanghai`) or offset (`+08:00`). Raises ValueError."""
    if offset := _OFFSET.fullmatch(name):
        sign, hours, minutes = offset.groups()
        span = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-span if sign == "-" else span)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone: write Europe/Berlin or +01:00") from None
