"""When a callback is tried again: pure, no clock, no I/O.

`verdict` takes the result of one attempt and says whether the delivery is delivered, is to be
tried again and when, is put off, or is dead. The caller counts the attempts and reads the clock.
"""

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

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
# The reasons of attempts that were not made: this process lacked a descriptor, thread or lookup, or
# the operator's proxy did not do its work, its receiver may not be asked again yet, or no key opens
# its secrets. The receiver has seen nothing.
NO_ROOM, PROXY, NOT_ADMITTED, SECRETS = "no_room", "proxy", "not_admitted", "secrets"
NOT_SENT = frozenset({NO_ROOM, PROXY, NOT_ADMITTED, SECRETS})
# The reason of an attempt whose lookup found no ticket, or more than one.
LOOKUP = "lookup"
# Why a delivery is dead that a person has dropped.
DROPPED = "dropped"
# The pause after one, in seconds: a quarter of the delivery's age, within these bounds. Attempts
# are not counted there, and the pauses grow all the same.
SHORTEST_PUT_OFF, LONGEST_PUT_OFF = 5.0, 5 * MINUTE
# What a receiver's own rules say of an answer; see `kernel.formats.shapes.answer`.
Judgement = Literal["delivered", "done", "retry", "give_up"]
RETRY: Judgement = "retry"
GIVE_UP: Judgement = "give_up"
_SECONDS = re.compile(r"[0-9]+", re.ASCII)


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
        # NaN is not below 0 either, and no pause at all.
        if not self.schedule or not all(0 < one < math.inf for one in self.schedule):
            raise ValueError("a schedule holds at least one pause, each longer than 0 s")
        if self.max_client_errors < 0 or self.give_up_after <= 0 or self.jitter < 0:
            raise ValueError("counts, times and jitter are not negative")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of one attempt.

    ``attempt``: how many were made by now, this one included. ``client_errors``: for how many of
    them, this one included, `is_refusal` held. ``status``: the HTTP status, if there was one.
    ``reason``: a transport failure's, if it failed; a failed attempt is never delivered, even with
    status 200. ``retry_after``: the header as received. ``now`` and ``created_at`` (of the
    delivery) are both aware, on one clock.

    ``judged``: what the receiver's own rules say, which then decide in place of the status; with
    RETRY, ``tries`` is after how many refusals they give up. ``fatal``: why no attempt of this
    delivery can ever succeed. ``turn``: seconds until the receiver may be asked, if it could not
    be.
    """

    attempt: int
    client_errors: int
    status: int | None
    reason: str | None
    retry_after: str | None
    now: datetime
    created_at: datetime
    judged: Judgement | None = None
    tries: int | None = None
    fatal: str | None = None
    turn: float = 0.0


@dataclass(frozen=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True)
class RetryIn:
    """Try again, not before ``pause`` is over."""

    pause: timedelta


@dataclass(frozen=True)
class PutOff:
    """Nothing was sent for a lack of ours: due again after ``pause``, and nothing is counted."""

    pause: timedelta


@dataclass(frozen=True)
class Dead:
    """Give up.

    ``why`` is one of ``gone``, ``client_errors``, ``deadline``; with a receiver's own shape also
    ``answer`` (its rules say so), ``template`` (nothing can be made of it) and ``lookup`` (there
    is no ticket, or more than one).
    """

    why: str


def verdict(
    policy: RetryPolicy, answer: Answer, rand: Callable[[], float] = random.random
) -> Delivered | RetryIn | PutOff | Dead:
    """Say how a delivery goes on after this attempt.

    2xx is delivered (RFC 9110 §15.3), 410 ends it (§15.5.11), `is_client_error` answers end it
    when they have been retried often enough, everything else is tried again until an attempt
    would lie past the deadline. What was not sent for a lack of ours, or before its turn, is put
    off, past the deadline too: the receiver had no chance. ``rand`` returns numbers from 0 to 1.
    """
    if answer.reason in NOT_SENT:
        return PutOff(_put_off(policy, answer, rand()))
    if (end := _end(policy, answer)) is not None:
        return end
    pause = _pause(policy, answer) * (1 + policy.jitter * rand())
    # In seconds: of a pause of ages there is no timedelta, and no time after it.
    if (answer.now - answer.created_at).total_seconds() + pause > policy.give_up_after:
        return Dead("deadline")
    return RetryIn(timedelta(seconds=pause))


def _put_off(policy: RetryPolicy, answer: Answer, rand: float) -> timedelta:
    if answer.reason == NOT_ADMITTED:
        return timedelta(seconds=answer.turn)
    age = (answer.now - answer.created_at).total_seconds()
    seconds = min(max(age / 4, SHORTEST_PUT_OFF), LONGEST_PUT_OFF)
    return timedelta(seconds=seconds * (1 + policy.jitter * rand))


def _end(policy: RetryPolicy, answer: Answer) -> Delivered | Dead | None:
    """Say how the delivery ends with this attempt; None when it is tried again."""
    if answer.fatal is not None:
        return Dead(answer.fatal)
    if answer.judged is not None:
        return _judged(answer.judged, answer)
    if answer.reason is None and answer.status is not None and 200 <= answer.status <= 299:
        return Delivered()
    if answer.status == GONE:
        return Dead("gone")
    if is_client_error(answer.status) and answer.client_errors > policy.max_client_errors:
        return Dead("client_errors")
    return None


def _judged(judged: Judgement, answer: Answer) -> Delivered | Dead | None:
    if judged == RETRY and answer.client_errors < (answer.tries or math.inf):
        return None
    if judged in (RETRY, GIVE_UP):
        return Dead(LOOKUP if answer.reason == LOOKUP else "answer")
    return Delivered()


def is_refusal(status: int | None, judged: Judgement | None, tries: int | None) -> bool:
    """Say whether an answer is one of those that are tried again a few times only.

    Where a receiver's rules have judged it, they say so by ``tries``, else by `is_client_error`.
    An attempt without an answer is none of them: it tells nothing of what the receiver thinks.
    """
    return is_client_error(status) if judged is None else tries is not None


def is_client_error(status: int | None) -> bool:
    """Say whether a status counts towards ``max_client_errors``: a 4xx that is not passing."""
    return status is not None and 400 <= status <= 499 and status not in PASSING_CLIENT_ERRORS


def retry_after_seconds(value: str | None, now: datetime) -> float:
    """Return the seconds a ``Retry-After`` header asks for (RFC 9110 §10.2.3), at most a day.

    Both forms count, a number of seconds, however long, and an HTTP date. A missing, past or
    malformed value is 0: a receiver cannot break its own deliveries with it.
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
