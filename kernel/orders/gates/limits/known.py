"""Which limit a tag has: as its handler registers it, or as a person has set it since.

A process reads what people have set every few seconds, while it claims; it asks nothing per order.
"""

from collections.abc import Collection
from dataclasses import replace
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import select

from kernel.db.tables.limits import SET_LIMITS
from kernel.handlers.limits import Limit, Rate
from kernel.runtime.kernel import Kernel

# What people have set is read again after this long.
KNOWN_SECONDS = 2.0
# Places of which a process remembers the slot that it took last.
REMEMBERED = 1000
NONE = Limit()


class Place(NamedTuple):
    """Where orders line up: those of a tag with one value of the argument that keeps them apart."""

    tag: str
    value: str

    @property
    def waiting_for(self) -> str:
        """What an order waits for that stands there, as `Gate.waiting_for` has it."""
        return f"{PREFIX}{self.tag}" + (f"{BEHIND}{self.value}" if self.value else "")

    @property
    def values(self) -> dict[str, str]:
        """The values for statements about the place."""
        return {"at_tag": self.tag, "at_value": self.value}


# No tag holds the sign that the value stands behind.
PREFIX, BEHIND = "limit:", "#"


def place_of(waiting_for: str) -> Place:
    """Return the place that `Place.waiting_for` tells of."""
    tag, _, value = waiting_for.removeprefix(PREFIX).partition(BEHIND)
    return Place(tag, value)


class Limits:
    """The limits of one process's tags. Make it by `kernel.one`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._registered = {
            tag: handler.limit for tag, handler in kernel.handlers.items() if handler.limit.is_any
        }
        self._limits: dict[str, Limit] = {}
        self._read_at: float | None = None
        # Which slot this process took last, for a first guess at the next.
        self.taken: dict[Place, int] = {}

    def refresh(self) -> None:
        """Read what people have set, unless that was read a moment ago."""
        if self._read_at is None or monotonic() - self._read_at > KNOWN_SECONDS:
            began = monotonic()
            if self._read_at is not None:  # what was read before holds meanwhile
                self._read_at = began
            with self._kernel.read() as connection:
                rows = connection.execute(select(SET_LIMITS)).all()
            changed = {row.tag: _changed(self._base(row.tag), row) for row in rows}
            known = self._registered | changed
            self._limits = {tag: limit for tag, limit in known.items() if limit.is_any}
            # Until it was read once, no thread may take it that there are no limits.
            self._read_at = began

    def of(self, tag: str) -> Limit | None:
        """Return the limit of a tag, as it was read last; None without one."""
        return self._limits.get(tag)

    @property
    def tags(self) -> Collection[str]:
        """The tags that have a limit."""
        return self._limits.keys()

    @property
    def has_slots(self) -> bool:
        """Whether any tag has a concurrency."""
        return any(one.concurrency is not None for one in self._limits.values())

    def place(self, tag: str, args: str) -> Place:
        """Return where an order with these arguments, JSON text, lines up."""
        return Place(tag, self._kernel.handlers[tag].limited_by(args))

    def remember(self, place: Place, number: int | None) -> None:
        """Note which slot of a place this process has taken."""
        if number is not None:
            if len(self.taken) >= REMEMBERED:
                self.taken.clear()
            self.taken[place] = number

    def _base(self, tag: str) -> Limit:
        handler = self._kernel.handlers.get(tag)
        return NONE if handler is None else handler.limit


def _changed(limit: Limit, row: Any) -> Limit:
    """Return ``limit`` with what a person has set instead."""
    if row.concurrency is not None:
        limit = replace(limit, concurrency=row.concurrency or None)
    if row.rate is not None:
        limit = replace(limit, rate=Rate.parse(row.rate) if row.rate else None)
    return limit


def limits(kernel: Kernel) -> Limits:
    """Return what this process knows of limits, read a moment ago at the latest."""
    found = kernel.one(Limits)
    found.refresh()
    return found
