"""How numbers, times and states are said to people, in their language."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kernel.formats.envelope import rfc3339
from kernel.formats.texts import Language
from kernel.views.html.texts import TEXTS

# Controls but newline and tab; what joins, hides or turns text (Unicode's Bidi_Control among them).
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
# A span below these seconds is said with this text, in units of these seconds.
SPANS = ((90, "span_s", 1), (5400, "span_min", 60), (129_600, "span_h", 3600))
DAY = 86_400


class Wording:
    """The texts of one language: ``t("orders")``, ``t("span_s", n=3)``."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, key: str, **values: Any) -> str:
        """Return the text of ``key``. Raises KeyError for an unknown one."""
        return TEXTS[key][self.language].format(**values)

    def has(self, key: str) -> bool:
        """Tell whether there is a text for a key that was put together."""
        return key in TEXTS

    def span(self, seconds: float) -> str:
        """Say how long something takes: 40 ms, 12 s, 5 min, 3 h, 2 d."""
        if seconds < 1:
            return self("span_ms", n=round(seconds * 1000))
        for below, key, unit in SPANS:
            if seconds < below:
                return self(key, n=round(seconds / unit, 1 if seconds < 10 else None))
        return self("span_d", n=round(seconds / DAY))

    def ago(self, moment: datetime, now: datetime) -> str:
        """Say how far a moment is from now: 5 min ago, in 2 h."""
        seconds = (now - moment).total_seconds()
        if abs(seconds) < 1:
            return self("ago_now")
        if seconds > 0:
            return self("ago", span=self.span(seconds))
        return self("ahead", span=self.span(-seconds))

    def count(self, number: int, limit: int) -> str:
        """Say a count that stops at ``limit``: 9,999, then 10,000+."""
        return self("or_more", n=f"{limit:,}") if number >= limit else f"{number:,}"


def host_time() -> datetime:
    """Return the time by this host's clock; for pages that cannot ask the database."""
    return datetime.now(UTC)


def clock_time(moment: datetime) -> str:
    """Write a time to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def pretty_json(text: str | None) -> str:
    """Indent JSON text for people; text that is none stays as it is."""
    try:
        return json.dumps(json.loads(text or "{}"), ensure_ascii=False, indent=2)
    except ValueError:
        return text or ""


def plain(text: Any) -> str:
    """Write characters that are not seen, or turn the text around them, as escapes."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


FILTERS: dict[str, Callable[..., Any]] = {
    "rfc3339": rfc3339,
    "clock_time": clock_time,
    "pretty_json": pretty_json,
    "plain": plain,
}
