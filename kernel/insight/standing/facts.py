"""What the sentences about one order are made of: read at one moment, without judgement.

A member that is None, or empty, was not asked for or is not known, and no sentence speaks of it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Named(NamedTuple):
    """An order, with the caller's own name for it."""

    order_id: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person or a program did: who, when, why. ``via``: as in `kernel_acts`."""

    who: str
    at: datetime
    reason: str | None = None
    via: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A pause in force. ``kind``: host, caller, receiver, tag, or ``adopt`` for drafts.

    ``who``: None where that is not known, or not to be told.
    """

    kind: str
    name: str
    since: datetime
    who: str | None = None
    reason: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A breaker that every process has open which sends callbacks.

    ``probes_at``: when the first of them lets an attempt through; None where none told.
    """

    probes_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFacts:
    """An order's work. ``last_end``: how its last run ended, as in `kernel_runs`.

    ``behind``: the order whose turn it is. ``children``: how many have not ended. ``workers``: how
    many living processes run handlers.
    """

    now: datetime
    state: str
    run: int = 0
    run_after: datetime
    not_before: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    error_code: str | None = None
    message: str | None = None
    waiting_for: str | None = None
    wakes_at: datetime | None = None
    key: str | None = None
    position: int | None = None
    behind: Named | None = None
    children: int = 0
    held: Held | None = None
    process: str = ""
    last_end: str = ""
    last_reason: str = ""
    workers: int | None = None
    cancel_requested_at: datetime | None = None
    cancelled: Deed | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackFacts:
    """An order's callback. ``state``: None while none is owed.

    ``tries``: attempts since it became owed, ``attempt``: the number of the last one. ``reason``
    and ``status``: of the last one that ended. ``senders``: how many living processes send.
    """

    now: datetime
    is_wanted: bool = True
    has_ended: bool = True
    state: str | None = None
    in_flight: bool = False
    next_attempt_at: datetime | None = None
    tries: int = 0
    attempt: int = 0
    finished_at: datetime | None = None
    died_of: str | None = None
    reason: str | None = None
    status: int | None = None
    held: Held | None = None
    breaker: OpenBreaker | None = None
    senders: int | None = None
