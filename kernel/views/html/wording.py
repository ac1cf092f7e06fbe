"""How numbers, times and states are said to people, in their language."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kernel.formats.durations import Spans, in_words, plain
from kernel.formats.envelope import rfc3339
from kernel.views.html.texts import TEXTS


class Wording(Spans):
    """The texts of one language: ``t("orders")``, ``t("span_s", n=3)``."""

    texts = TEXTS


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


def as_text(value: Any) -> str:
    """Write a value that is text as it is, and another as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


FILTERS: dict[str, Callable[..., Any]] = {
    "rfc3339": rfc3339,
    "clock_time": clock_time,
    "pretty_json": pretty_json,
    "plain": plain,
    "as_text": as_text,
    "in_words": in_words,
}
