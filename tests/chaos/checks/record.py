"""What was promised and what is there: the record that the checks compare.

Times are seconds since the epoch.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.orders import Order

FINAL = {"success": 0, "warning": 1, "failed": -1, "cancelled": -1}
WORK_LOST, TWICE, CALLBACK_LOST = "lost", "doubled", "callback lost"
WRONG, LEFT = "wrong", "left behind"
# Handlers that commit rows before the order ends.
COMMITS = {"import_projects", "stepped_project"}
KINDS = (WORK_LOST, TWICE, CALLBACK_LOST, WRONG, LEFT)


@dataclass(frozen=True)
class Finding:
    """Something that must not be. ``key`` is the order's, when it is about one."""

    kind: str
    what: str
    key: str | None = None


Found = Iterator[Finding]
Entry = dict[str, Any]


@dataclass
class Row:
    """An order as the database has it."""

    id: str
    key: str
    state: str
    created: float
    finished: float | None
    error: str | None
    result: dict[str, Any]
    held: bool
    run: int
    # When its first run began.
    started: float | None = None
    # The id of the order that it is a child of, and the number of the run that submitted it.
    parent: str | None = None
    by: int | None = None


@dataclass
class Aged:
    """An order whose rows were made older than retention, as they were at ``at``.

    From then on kernel may prune it. ``attempts`` are the HTTP statuses of its attempts' rows.
    """

    row: Row
    deliveries: list[tuple[str, str]]
    attempts: list[int | None]
    at: float
    # Whether the change is known to be committed.
    done: bool = False


@dataclass
class Record:
    """Everything that was promised and found.

    ``rows``, ``deliveries`` and ``attempts`` are those of the database, and those of aged orders as
    they were before. ``attempts``: the HTTP statuses of a delivery's attempts.
    """

    orders: Mapping[str, Order]
    accepted: dict[str, set[str]]
    rows: list[Row]
    projects: Counter[str]
    calls: Mapping[str, list[Entry]]
    deliveries: Mapping[str, list[tuple[str, str]]]
    # How often each contended row was counted.
    touched: Mapping[str, int]
    attempts: Mapping[str, list[int | None]] = field(default_factory=dict)
    polls: Mapping[str, list[Entry]] = field(default_factory=dict)
    # What the load asked for, with the answers, by kind: cancel, pause, redeliver, replay.
    asked: Mapping[str, list[Entry]] = field(default_factory=dict)
    aged: Mapping[str, Aged] = field(default_factory=dict)
    # The aged orders that are gone.
    pruned: frozenset[str] = frozenset()
    # When a process was killed that may have been sending.
    deaths: Sequence[float] = ()
    # From when to when a database, or a process, stood still.
    stalls: Sequence[tuple[float, float]] = ()
    # When each key was first answered 2xx.
    answered: Mapping[str, float] = field(default_factory=dict)
    # From when, and until when, each key's order may begin, where that was told.
    windows: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    # Whether the database's clock was set: times in rows cannot be compared then.
    clock_was_set: bool = False
    # What orders' steps asked another system for, and their rows: attempts, and whether it is done.
    effects: Mapping[str, list[Entry]] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, tuple[int, bool]]] = field(default_factory=dict)
    # When the database was read.
    ended: float = 0.0

    def of(self, kind: str) -> list[Entry]:
        """Return what the load asked for of that kind."""
        return self.asked.get(kind, [])

    def cancels(self, key: str) -> list[Entry]:
        """Return what was asked, and answered, about cancelling this order."""
        return [one for one in self.of("cancel") if one["key"] == key]
