"""A tag's limit: how many of its orders run at once, how often one begins, and whom it is kept for.

It holds over all workers; the rows that count are in `kernel.db.tables.limits`.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple, Self

MAX_CONCURRENCY = 1000
RATE = re.compile(r"([1-9][0-9]{0,5})/([smhd])")
UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
# The most that a second takes: two beginnings are then a millisecond apart.
SHORTEST = timedelta(milliseconds=1)
RATE_WORDS = 'a rate is a number per s, m, h or d, such as "30/m", and at most 1000 a second'
CONCURRENCY_WORDS = f"concurrency is an int from 1 to {MAX_CONCURRENCY}"
# The longest text by which a limit is kept apart; what is longer is told by a part and a hash.
MAX_VALUE, SHOWN, HASHED = 64, 40, 23
# By what a limit may be kept apart.
KINDS: tuple[type, ...] = (str, int, float, Decimal)


class Rate(NamedTuple):
    """How often orders begin: one after ``spacing``, never two closer together."""

    text: str
    spacing: timedelta

    @classmethod
    def parse(cls, text: Any) -> Self:
        """Read a rate such as ``30/m``. Raises ValueError, whose text says what a rate is."""
        found = RATE.fullmatch(text) if isinstance(text, str) else None
        spacing = UNITS[found[2]] / int(found[1]) if found else timedelta()
        if found is None or spacing < SHORTEST:
            raise ValueError(RATE_WORDS)
        return cls(found[0], spacing)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a tag's orders must find free before they begin; None where there is no such limit.

    ``per``: the argument for each of whose values the limit holds by itself.
    """

    concurrency: int | None = None
    rate: Rate | None = None
    per: str | None = None

    @property
    def is_any(self) -> bool:
        """Whether it limits anything."""
        return self.concurrency is not None or self.rate is not None


def is_concurrency(value: Any) -> bool:
    """Tell whether ``value`` may be a limit's concurrency."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_CONCURRENCY


def shown(value: str | float | Decimal | None) -> str:
    """Return the value of the argument that keeps a limit apart as a short text; "" for None.

    A number is one value however it is written: 1 and 1.0, and Decimals of 1.50 and 1.5, or of 1E+2
    and 100.
    """
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return bounded(_decimal(value) if isinstance(value, Decimal) else str(value))


def _decimal(value: Decimal) -> str:
    sign, digits, exponent = value.as_tuple()
    if isinstance(exponent, str):  # no number, or an infinite one
        return str(value)
    kept = list(digits)
    while kept and kept[-1] == 0:
        kept.pop()
        exponent += 1
    least = Decimal((sign, tuple(kept), exponent))
    if not kept:
        return "0"
    return format(least, "f") if abs(least.adjusted()) < MAX_VALUE else str(least)


def bounded(text: str) -> str:
    """Return ``text``, or a part of it with a hash where it is long or no line of a page."""
    plain = text.isprintable() and text == text.strip()
    if plain and len(text) <= MAX_VALUE:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASHED]
    return f"{text[:SHOWN]}~{digest}" if plain else f"~{digest}"
