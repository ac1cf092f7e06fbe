"""Times on the wire: RFC 3339, section 5.6, always with an offset. Pure."""

import re
from datetime import UTC, datetime
from typing import Any

# Python takes an offset of +01:75 for one of +02:15, and newer ones an hour 24 for the next day.
HOUR, MINUTE = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
OFFSET = f"[+-]{HOUR}:{MINUTE}"
# Lower case letters are RFC 3339's; a space in place of the T is not taken.
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    rf"[Tt]{HOUR}:{MINUTE}:[0-9]{{2}}(\.[0-9]{{1,9}})?([Zz]|{OFFSET})"
)
# Every database keeps times from here on, until the end of the year 9999.
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
WORDS = "a time with its offset, as in 2026-11-20T08:00:00Z (RFC 3339), from 1970 on"


def moment(value: Any) -> datetime | None:
    """Return the time that ``value`` is the text of, in UTC with microseconds; None if it is none.

    Digits behind the microseconds are cut off.
    """
    if not isinstance(value, str) or len(value) > 40 or _RFC3339.fullmatch(value) is None:
        return None
    try:
        found = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found >= FIRST else None
