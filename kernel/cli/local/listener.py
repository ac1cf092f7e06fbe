"""The receiver behind `kernel listen`, for trying things out.

A `Listener` judges each POST as a careful receiver would, and answers in its `Manner`. It prints
nothing: it passes each callback, as a `Heard`, to a function.
"""

import json
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from kernel.cli.local.receiver import Post, Reply
from kernel.formats.signing import TOLERANCE, SignatureInvalid, verify

EXCERPT = 200
# Duplicates are told of this many ids, the latest.
REMEMBERED = 10_000
_STAMP_DIGITS = 12


class Signature(StrEnum):
    """The verdict on a callback's signature and age."""

    VALID = "valid"
    WRONG = "wrong_signature"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    MISSING = "not_signed"
    UNCHECKED = "not_checked"


@dataclass(frozen=True, slots=True)
class Manner:
    """How to answer: by default 200, and 401 to a POST that is not genuine.

    ``status`` and ``redirect`` answer every POST, or only the first ``fail_first`` of them; with
    ``fail_first`` alone those get 500. ``retry_after`` (seconds) is sent with them; ``delay``
    (seconds) passes before every answer.
    """

    status: int | None = None
    redirect: str | None = None
    fail_first: int | None = None
    retry_after: int | None = None
    delay: float = 0.0

    def reply(self, number: int, genuine: bool) -> Reply:
        """Return the answer to the POST with this number, counted from 1."""
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
    """A callback as received, with the verdict on it. All text in it is hostile.

    ``at`` is in seconds since 1970. ``envelope`` is empty when the body holds no JSON object;
    ``excerpt`` is the body's first 200 characters. ``reason``: why the signature is wrong.
    ``age``: seconds by this host's clock, None without a readable timestamp. ``times``: number of
    POSTs with this webhook-id so far. ``answer``: the HTTP status sent back. ``post``: all of it.
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
    post: Post = field(repr=False)

    @property
    def data(self) -> Mapping[str, Any]:
        """The envelope's ``data``; empty when there is none."""
        data = self.envelope.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def is_duplicate(self) -> bool:
        """Whether this webhook-id came before: a careful receiver then only answers 2xx."""
        return self.times > 1


class Listener:
    """Answers POSTs in its manner and calls ``told`` for each, both in the calling thread.

    Without ``secrets`` it checks no signatures, and every POST counts as genuine.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        manner: Manner,
        told: Callable[[Heard], None],
        remembered: int = REMEMBERED,
    ) -> None:
        self._remembered = remembered
        self._secrets = secrets
        self._manner = manner
        self._told = told
        self._lock = threading.Lock()
        self._posts = 0
        # By webhook-id, the latest last.
        self._times: OrderedDict[str, int] = OrderedDict()

    def answer(self, post: Post) -> Reply:
        """Judge a POST, pass it to ``told``, return the answer."""
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
            post=post,
        )
        self._told(heard)
        return reply

    def _count(self, webhook_id: str) -> tuple[int, int]:
        """Return the number of this POST, among all and among those with its webhook-id.

        A POST without an id is no duplicate of another.
        """
        with self._lock:
            self._posts += 1
            if not webhook_id:
                return self._posts, 1
            times = self._times.pop(webhook_id, 0) + 1
            self._times[webhook_id] = times
            if len(self._times) > self._remembered:
                self._times.popitem(last=False)
            return self._posts, times


def judge(secrets: Sequence[str], post: Post, now: int) -> tuple[Signature, str]:
    """Return the verdict on a POST's signature and age, and why the signature is wrong."""
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
    """Return a callback's age in seconds by its timestamp; None without a readable one."""
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isascii() or not stamp.isdecimal() or len(stamp) > _STAMP_DIGITS:
        return None
    return now - int(stamp)


def envelope_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an empty one when the body holds none."""
    try:
        envelope = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _excerpt(body: bytes) -> str:
    return body[: 4 * EXCERPT].decode("utf-8", "replace")[:EXCERPT]
