"""Ids of rows: UUIDv7 (RFC 9562), which sort by time."""

import re
import secrets
from datetime import UTC, datetime, timedelta

# Ids of rows. What looks otherwise is unknown without a question to the database, which would
# find "id " for "id" and trip over characters its columns cannot hold.
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)

# From 1970 to the end of the year 9999.
_LAST_MICROS = 253_402_300_799_999_999


def new_id(now: datetime) -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7) for the moment ``now``, as text.

    The twelve bits after the version carry the fraction of the millisecond (section 6.2,
    method 3), so ids made by one process sort by time and pages can be cut by id.
    """
    return _text(_number(now) | secrets.randbits(62))


def runner_id(now: datetime) -> str:
    """Make the id of a process: 24 hex digits that sort by time as the ids of rows do.

    Shorter than those of rows: it stands in every order that the process has claimed, and begins
    the token of every delivery.
    """
    return f"{max(0, int(now.timestamp() * 1000)):012x}{secrets.token_hex(6)}"


def first_id(moment: datetime) -> str:
    """Return the lowest UUIDv7 of ``moment``, to the microsecond; no id made later is below it.

    So times are ranges of ids, which stand in indexes. For moments before 1970 that of 1970.
    """
    return _text(_number(moment))


def _number(moment: datetime) -> int:
    """Return the time, version and variant of an id, as the 128 bits of a UUID."""
    millis, micros = divmod(max(0, int(moment.timestamp() * 1_000_000)), 1000)
    return millis << 80 | 0x7 << 76 | (micros * 4096 // 1000) << 64 | 0b10 << 62


def _text(number: int) -> str:
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def time_of(id: str) -> datetime:
    """Return the moment for which `new_id` made an id, to the microsecond.

    The calendar's last one for an id of a later time, which a stranger can write.
    """
    digits = id.replace("-", "")
    micros = int(digits[:12], 16) * 1000 - (-int(digits[13:16], 16) * 1000 // 4096)
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=min(micros, _LAST_MICROS))
