"""What the rules are applied to: numbers and names read at one moment, without judgement.

A member that is None, or empty, was not asked for, and no rule speaks of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel.insight.backlog import Backlog


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The database: whether it answers, takes writes, is fit, and at which migration it is.

    ``error``: why it does not answer, ``unfit``: why the start would refuse it; "" where it does
    and would not. ``schema``: None when it was never migrated.
    """

    answers: bool = True
    error: str = ""
    is_read_only: bool = False
    unfit: str = ""
    schema: str | None
    needs: str

    @property
    def is_behind(self) -> bool:
        """Tell whether this code cannot work with it."""
        return self.answers and (self.schema is None or self.schema < self.needs)

    @property
    def is_ahead(self) -> bool:
        """Tell whether a newer release has migrated it."""
        return self.answers and self.schema is not None and self.schema > self.needs

    @property
    def is_usable(self) -> bool:
        """Tell whether rows can be read."""
        return self.answers and not self.is_behind


@dataclass(frozen=True, slots=True)
class Oldest:
    """The due order that has waited longest."""

    order_id: str
    due_at: datetime
    select_tag: str
    caller: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Failing:
    """An origin to which some process sends nothing for a while.

    ``callers``: for how many; 0 where an older release tells of it. ``reason`` and ``status``: of
    the last attempt; None where none is known. ``since``: when it failed first, as far as known.
    """

    origin: str
    callers: int
    reason: str | None = None
    status: int | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Dead:
    """The callbacks that were given up lately. ``origin`` and ``died_of``: of the last one."""

    number: int
    first_at: datetime
    origin: str
    died_of: str | None


@dataclass(frozen=True, slots=True)
class Pause:
    """What a person has paused. ``what``: host, caller, receiver, tag or orders_of.

    ``by`` and ``why`` are None where they are not known, ``until`` where a person has to resume it.
    """

    what: str
    name: str
    since: datetime
    until: datetime | None = None
    by: str | None = None
    why: str | None = None
    # The fields with which a page resumes it; none where a page cannot.
    resumes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Expiring:
    """A key or a certificate that ends soon, or has ended. ``of``: the caller's name."""

    name: str
    of: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class FailedSchedule:
    """A recurring order whose last time made no order."""

    name: str
    failed_at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewError:
    """Failures of a kind that was not known, or had been resolved. ``what``: type or code."""

    fingerprint: str
    select_tag: str
    what: str
    place: str
    since: datetime
    came_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the rules look at, at the moment ``now``."""

    now: datetime
    database: Database
    # Whether the broker answers.
    broker: bool | None = None
    # Living processes that run handlers, how many orders they run, and when one was seen last.
    workers: int | None = None
    worker_seen_at: datetime | None = None
    # How many of them take nothing new: their hosts are drained.
    quiet: int = 0
    backlog: Backlog | None = None
    oldest: Oldest | None = None
    failing: Sequence[Failing] = ()
    dead: Dead | None = None
    pauses: Sequence[Pause] = ()
    keys: Sequence[Expiring] = ()
    certificates: Sequence[Expiring] = ()
    schedules: Sequence[FailedSchedule] = ()
    errors: Sequence[NewError] = ()
