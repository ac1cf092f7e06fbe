"""What `kernel listen` hears and how it answers: a receiver for trying things out.

A `Listener` judges each POST as a careful receiver would and answers as it was told to. It
prints nothing: what it `Heard` goes to a function.
"""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from kernel.cli.local.receiver import Post, Reply
from kernel.formats.signing import TOLERANCE, SignatureInvalid, verify

EXCERPT = 200
_STAMP_DIGITS = 12


class Signature(StrEnum):
    """What is to be said of a callback's signature and age."""

    VALID = "valid"
    WRONG = "wrong_signature"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    MISSING = "not_signed"
    UNCHECKED = "not_checked"


@dataclass(frozen=True, slots=True)
class Manner:
    """How to answer: 200 (401 to what is not genuine) unless told otherwise.

    ``status`` and ``redirect`` are given always, or, with ``fail_first``, to so many POSTs only;
    500 if neither is set. ``retry_after`` goes with them; ``delay`` comes before every answer.
    """

    status: int | None = None
    redirect: str | None = None
    fail_first: int | None = None
    retry_after: int | None = None
    delay: float = 0.0

    def reply(self, number: int, genuine: bool) -> Reply:
        """Return the answer to the POST of this number, counted from 1."""
        if self._is_to_fail(number):
            return Reply(self._failure(), self._headers(), self.delay)
        return Reply(HTTPStatus.OK if genuine else HTTPStatus.UNAUTHORIZED, {}, self.delay)

    def _is_to_fail(self, number: int) -> bool:
        if self.fail_first is not None:
            return number <= self.fail_first
        return self.status is not None or self.redirect is not None

    def _failure(self) -> int:
        if self.status is not None:
            return self.status
        return HTTPStatus.INTERNAL_SERVER_ERROR if self.redirect is None else HTTPStatus.FOUND

    def _headers(self) -> dict[str, str]:
        wanted = {"Location": self.redirect, "Retry-After": self.retry_after}
        return {name: str(value) for name, value in wanted.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Heard:
    """A callback as it came in, with what is to be said of it. All text in it is hostile.

    ``envelope`` is empty when the body is none; ``excerpt`` is how the body begins. ``reason``:
    why the signature is wrong. ``age``: seconds by this host's clock, None without a readable
    timestamp. ``times``: how often this webhook-id has come by now.
    """

    at: float
    webhook_id: str
    envelope: Mapping[str, Any] = field(repr=False)
    excerpt: str
    signature: Signature
    reason: str
    age: int | None
    times: int
    answer: int

    @property
    def data(self) -> Mapping[str, Any]:
        """The envelope's ``data``; empty when there is none."""
        data = self.envelope.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def is_duplicate(self) -> bool:
        """Whether a careful receiver answers 2xx and does nothing more."""
        return self.times > 1


class Listener:
    """Answers POSTs in its manner and tells what it heard; both in the thread that asks.

    Without ``secrets`` signatures are not checked, and everything counts as genuine.
    """

    def __init__(
        self, secrets: Sequence[str], manner: Manner, told: Callable[[Heard], None]
    ) -> None:
        self._secrets = secrets
        self._manner = manner
        self._told = told
        self._lock = threading.Lock()
        self._posts = 0
        self._times: Counter[str] = Counter()

    def answer(self, post: Post) -> Reply:
        """Judge a POST, tell of it, return the answer."""
        now = time.time()
        signature, reason = judge(self._secrets, post, int(now))
        genuine = signature is Signature.VALID or not self._secrets
        webhook_id = post.headers.get("webhook-id", "")
        number, times = self._count(webhook_id)
        reply = self._manner.reply(number, genuine)
        heard = Heard(
            at=now,
            webhook_id=webhook_id,
            envelope=envelope_of(post.body),
            excerpt=_excerpt(post.body),
            signature=signature,
            reason=reason,
            age=age_of(post.headers, int(now)),
            times=times,
            answer=reply.status,
        )
        self._told(heard)
        return reply

    def _count(self, webhook_id: str) -> tuple[int, int]:
        """Return which POST this is, and which with its id; one without an id is like no other."""
        with self._lock:
            self._posts += 1
            self._times[webhook_id] += 1
            return self._posts, self._times[webhook_id] if webhook_id else 1


def judge(secrets: Sequence[str], post: Post, now: int) -> tuple[Signature, str]:
    """Say whether a signature and its age are right, and why it is wrong if it is."""
    if not post.headers.get("webhook-signature"):
        return Signature.MISSING, ""
    if not secrets:
        return Signature.UNCHECKED, ""
    try:
        verify(secrets, post.headers, post.body, now, tolerance=sys.maxsize)
    except SignatureInvalid as error:
        return Signature.WRONG, error.reason
    age = age_of(post.headers, now) or 0
    if abs(age) <= TOLERANCE:
        return Signature.VALID, ""
    return (Signature.TOO_OLD if age > 0 else Signature.TOO_NEW), ""


def age_of(headers: Mapping[str, str], now: int) -> int | None:
    """Return how many seconds ago a callback says it was sent, or None if it does not."""
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isascii() or not stamp.isdecimal() or len(stamp) > _STAMP_DIGITS:
        return None
    return now - int(stamp)


def envelope_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object a body holds; empty when it does not."""
    try:
        envelope = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _excerpt(body: bytes) -> str:
    return body[: 4 * EXCERPT].decode("utf-8", "replace")[:EXCERPT]
