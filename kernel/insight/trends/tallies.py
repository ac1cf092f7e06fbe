"""What is counted of a stretch of time, and of which part of the work: a tag, a caller, a host."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from kernel.db.states import OrderState
from kernel.insight.trends.durations import Durations


class Kind(StrEnum):
    """By what the work is told apart. The names are in rows: never rename one."""

    ALL = "all"
    TAG = "tag"
    CALLER = "caller"
    # A receiver that has a name, and any origin that callbacks go to, with or without one.
    RECEIVER = "receiver"
    HOST = "host"


class Part(NamedTuple):
    """A part of the work.

    ``name``: a select_tag, a caller's name, ``CALLER/NAME`` of a receiver, an origin. Empty: all
    of it for `Kind.ALL`, otherwise the parts that have no row of their own, added up.
    """

    kind: Kind
    name: str = ""


EVERYTHING = Part(Kind.ALL)
COUNTS = ("accepted", "finished", "attempts", "delivered", "dead")
BY_WORD = ("states", "reasons")
DURATIONS = ("took", "queued", "ran", "delivered_in", "answered_in")


@dataclass(slots=True)
class Tally:
    """The counts of a minute or, added up, of a longer time, from ``began_at`` on.

    Durations may be those of a sample; counts are of all.
    """

    began_at: datetime
    # Orders accepted, and orders that ended.
    accepted: int = 0
    finished: int = 0
    # POSTs begun, those of them that delivered, and callbacks given up.
    attempts: int = 0
    delivered: int = 0
    dead: int = 0
    # Orders that ended, by state; attempts that failed, by reason.
    states: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    # From acceptance to the end; from due to the beginning of the last run; from there to the end.
    took: Durations = field(default_factory=Durations)
    queued: Durations = field(default_factory=Durations)
    ran: Durations = field(default_factory=Durations)
    # From a callback owed to delivered; of one attempt.
    delivered_in: Durations = field(default_factory=Durations)
    answered_in: Durations = field(default_factory=Durations)

    @property
    def failed(self) -> int:
        """Orders that ended in the state failed."""
        return self.states.get(OrderState.FAILED, 0)

    @property
    def success(self) -> float | None:
        """The share of attempts that delivered, 0 to 1; None without attempts."""
        return self.delivered / self.attempts if self.attempts else None

    @property
    def weight(self) -> int:
        """How much happened, to tell large parts from small ones."""
        return self.accepted + self.finished + self.attempts + self.dead

    def add(self, other: Self) -> None:
        """Add another time. Its sampled durations are weighted to stand for all of it."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in BY_WORD:
            into = getattr(self, name)
            for word, count in getattr(other, name).items():
                into[word] = into.get(word, 0) + count
        orders = other.finished / other.took.total if other.took.total else 1
        callbacks = other.attempts / other.answered_in.total if other.answered_in.total else 1
        for name, weight in zip(DURATIONS, (orders,) * 3 + (callbacks,) * 2, strict=True):
            getattr(self, name).add(getattr(other, name), weight)

    def scale(self, orders: float, callbacks: float) -> None:
        """Have the counts of a sample stand for all; the durations stay those of the sample."""
        self.finished = round(self.finished * orders)
        self.states = {word: round(count * orders) for word, count in self.states.items()}
        self.attempts = round(self.attempts * callbacks)
        self.delivered = round(self.delivered * callbacks)
        self.reasons = {word: round(count * callbacks) for word, count in self.reasons.items()}

    def row(self) -> dict[str, Any]:
        """Return it as the columns of a row."""
        return (
            {"began_at": self.began_at}
            | {name: getattr(self, name) for name in COUNTS}
            | {name: json.dumps(getattr(self, name)) for name in BY_WORD}
            | {name: getattr(self, name).encode() for name in DURATIONS}
        )

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """Read the columns of a row."""
        given: dict[str, Any] = {name: row[name] for name in COUNTS}
        given |= {name: json.loads(row[name]) for name in BY_WORD}
        given |= {name: Durations.decode(row[name]) for name in DURATIONS}
        return cls(row["began_at"], **given)


def added(began_at: datetime, tallies: list[Tally]) -> Tally:
    """Return the sum of tallies."""
    total = Tally(began_at)
    for one in tallies:
        total.add(one)
    return total


def largest(found: Mapping[Part, Tally], most: int) -> dict[Part, Tally]:
    """Keep the ``most`` largest parts of each kind, and add up the others of each kind."""
    kept: dict[Part, Tally] = {}
    for kind in Kind:
        ours = [(part, one) for part, one in found.items() if part.kind is kind and one.weight]
        ours.sort(key=lambda each: (each[0].name == "", -each[1].weight, each[0].name))
        for number, (part, one) in enumerate(ours):
            into = part if number < most else Part(kind)
            kept.setdefault(into, Tally(one.began_at)).add(one)
    return kept
