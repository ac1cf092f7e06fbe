"""When a callback is tried again: pure, no clock, no I/O.

`verdict` takes the result of one attempt and says whether the delivery is delivered, is to be
tried again and when, or is dead. The caller counts the attempts and reads the clock.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

# Seconds from one attempt to the next; the last one repeats until the deadline.
SCHEDULE: tuple[float, ...] = (
    5.0, MINUTE, 5 * MINUTE, 30 * MINUTE,
    2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
)  # fmt: skip
LONGEST_RETRY_AFTER = DAY
# RFC 6585 §4 and RFC 9110 §15.6.4: the receiver asks for less, so it gets at least this pause.
SLOW_DOWN = {429: MINUTE, 503: MINUTE}
# 4xx that say "not now" rather than "wrong": RFC 9110 §15.5.9 and §15.5.10, RFC 8470 §5.2,
# RFC 6585 §4.
PASSING_CLIENT_ERRORS = frozenset({408, 409, 425, 429})
GONE = 410
_SECONDS = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class RetryPolicy:
    """How long and how often a delivery is tried.

    ``schedule``: seconds between attempts, the last one repeating. ``max_client_errors``: how
    many 4xx answers are retried (receivers under repair answer 404). ``give_up_after``: seconds
    after the delivery was created. ``jitter``: the largest share of a pause added to it, at
    random, so that what failed together does not come back together.
    """

    schedule: tuple[float, ...] = SCHEDULE
    max_client_errors: int = 3
    give_up_after: float = 4 * DAY
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if not self.schedule or min(self.schedule) <= 0:
            raise ValueError("a schedule holds at least one pause, each longer than 0 s")
        if self.max_client_errors < 0 or self.give_up_after <= 0 or self.jitter < 0:
            raise ValueError("counts, times and jitter are not negative")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of one attempt.

    ``attempt``: how many were made by now, this one included. ``client_errors``: for how many of
    them, this one included, `is_client_error` held. ``status``: the HTTP status, if there was
    one. ``reason``: a transport failure's, if it failed; a failed attempt is never delivered,
    even with status 200. ``retry_after``: the header as received. ``now`` and ``created_at`` (of
    the delivery) are both aware, on one clock.
    """

    attempt: int
    client_errors: int
    status: int | None
    reason: str | None
    retry_after: str | None
    now: datetime
    created_at: datetime


@dataclass(frozen=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True)
class RetryAt:
    """Try again, not before ``at``."""

    at: datetime


@dataclass(frozen=True)
class Dead:
    """Give up. ``why`` is one of ``gone``, ``client_errors``, ``deadline``."""

    why: str


def verdict(
    policy: RetryPolicy, answer: Answer, rand: Callable[[], float] = random.random
) -> Delivered | RetryAt | Dead:
    """Say how a delivery goes on after this attempt.

    2xx is delivered (RFC 9110 §15.3), 410 ends it (§15.5.11), `is_client_error` answers end it
    when they have been retried often enough, everything else is tried again until an attempt
    would lie past the deadline. ``rand`` returns numbers from 0 to 1.
    """
    if answer.reason is None and answer.status is not None and 200 <= answer.status <= 299:
        return Delivered()
    if answer.status == GONE:
        return Dead("gone")
    if is_client_error(answer.status) and answer.client_errors > policy.max_client_errors:
        return Dead("client_errors")
    at = answer.now + timedelta(seconds=_pause(policy, answer) * (1 + policy.jitter * rand()))
    if at > answer.created_at + timedelta(seconds=policy.give_up_after):
        return Dead("deadline")
    return RetryAt(at)


def is_client_error(status: int | None) -> bool:
    """Say whether a status counts towards ``max_client_errors``: a 4xx that is not passing."""
    return status is not None and 400 <= status <= 499 and status not in PASSING_CLIENT_ERRORS


def retry_after_seconds(value: str | None, now: datetime) -> float:
    """Return the seconds a ``Retry-After`` header asks for (RFC 9110 §10.2.3), at most a day.

    Both forms count, a number of seconds and an HTTP date. A missing, past or malformed value
    is 0: a receiver cannot break its own deliveries with it.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _pause(policy: RetryPolicy, answer: Answer) -> float:
    planned = policy.schedule[min(answer.attempt, len(policy.schedule)) - 1]
    asked = retry_after_seconds(answer.retry_after, answer.now)
    return max(planned, asked, SLOW_DOWN.get(answer.status or 0, 0.0))
