"""Durations as people write them (`90s`, `5m`, `2h`, `4d`), and as pages and messages say them."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from kernel.formats.texts import Language

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ONE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhd]?)", re.ASCII)


def seconds(text: str) -> float:
    """Read one duration. Raises ValueError for what is none, and for nought."""
    match = _ONE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text.strip()!r} is no duration; write 90s, 5m, 2h or 4d")
    found = float(match[1]) * UNITS[match[2] or "s"]
    if found <= 0:
        raise ValueError(f"{text.strip()!r} is no time at all")
    return found


def schedule(text: str) -> tuple[float, ...]:
    """Read durations with commas between, in seconds. Raises ValueError."""
    return tuple(map(seconds, text.split(",")))


def in_words(duration: float) -> str:
    """Return a duration in its largest unit that needs no fraction: 90 s are `90s`, 120 s `2m`."""
    unit = max((one for one in UNITS if duration % UNITS[one] == 0), key=UNITS.get, default="s")  # type: ignore[arg-type]
    return f"{duration / UNITS[unit]:.12g}{unit}"


def all_in_words(durations: Iterable[float]) -> str:
    """Return durations as `schedule` reads them."""
    return ", ".join(map(in_words, durations))


# Controls but newline and tab, and what is not seen, hides or turns text: Unicode's
# Default_Ignorable_Code_Point and Bidi_Control, separators of lines, annotations, blank letters.
# Not the joiners and variation selectors, of which scripts and emoji are made.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# A span below these seconds is said with this text, in units of these seconds.
SPANS = ((90, "span_s", 1), (5400, "span_min", 60), (129_600, "span_h", 3600))
DAY = 86_400
# By the units of `kernel.formats.durations`.
EXACT = {"s": "span_s", "m": "span_min", "h": "span_h", "d": "span_d"}
TEXTS: dict[str, dict[Language, str]] = {
    "ago_now": {"en": "just now", "zh": "刚刚"},
    "ago": {"en": "{span} ago", "zh": "{span}前"},
    "ahead": {"en": "in {span}", "zh": "{span}后"},
    "span_ms": {"en": "{n} ms", "zh": "{n} 毫秒"},
    "span_s": {"en": "{n} s", "zh": "{n} 秒"},
    "span_min": {"en": "{n} min", "zh": "{n} 分钟"},
    "span_h": {"en": "{n} h", "zh": "{n} 小时"},
    "span_d": {"en": "{n} d", "zh": "{n} 天"},
    "or_more": {"en": "{n}+", "zh": "{n}+"},
}


class Spans:
    """The texts of one language: ``t("ago_now")``, ``t("span_s", n=3)``.

    ``texts``: by key; a class below this one has more of them.
    """

    texts: ClassVar[Mapping[str, Mapping[Language, str]]] = TEXTS

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, key: str, **values: Any) -> str:
        """Return the text of ``key``, for one thing that of its `_one`. Raises KeyError."""
        one = f"{key}_one"
        if str(values.get("n")) == "1" and one in self.texts:
            key = one
        return self.texts[key][self.language].format(**values)

    def has(self, key: str) -> bool:
        """Tell whether there is a text for a key that was put together."""
        return key in self.texts

    def span(self, seconds: float) -> str:
        """Say how long something takes: 40 ms, 12 s, 5 min, 3 h, 2 d."""
        if seconds < 1:
            return self("span_ms", n=round(seconds * 1000))
        for below, key, unit in SPANS:
            if seconds < below:
                return self(key, n=round(seconds / unit, 1 if seconds < 10 else None))
        return self("span_d", n=round(seconds / DAY))

    def exactly(self, seconds: float) -> str:
        """Say a duration that a person has set, in its largest unit without a fraction: 1 min."""
        written = in_words(seconds)
        return self(EXACT[written[-1]], n=written[:-1])

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


def plain(text: Any) -> str:
    """Write characters that are not seen, or turn the text around them, as escapes."""
    return UNSEEN.sub(lambda found: _escaped(ord(found[0])), str(text))


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
