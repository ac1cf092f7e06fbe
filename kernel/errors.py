"""Every error kernel raises, in one tree.

    KernelError
    ├── ConfigurationError            the operator's fault: a setting, a schema, a missing server
    ├── RequestRefused                the caller's fault: nothing was accepted
    │   ├── InvalidJson               the body is not one strict JSON object
    │   ├── NotJson                   the content type is not JSON
    │   ├── BodyTooLarge              more bytes than MAX_BODY_BYTES
    │   ├── InvalidOrder              members are missing or wrong; data["errors"] lists them
    │   ├── InvalidQuery              the query string is wrong; data["errors"] as above
    │   ├── IdempotencyKeyReused      same key, other body
    │   ├── Unauthenticated           no credentials, or wrong ones
    │   │   └── KeyExpired            a key that was right once; only its holder gets this
    │   ├── Misdirected               the request names a host that is not known to be ours
    │   ├── Forbidden                 credentials that may not do this
    │   ├── NotFound                  no such row, or another caller's
    │   ├── Conflict                  the row's state does not allow this
    │   └── TooManyRequests           the caller's limit; data["retry_after"] in seconds
    ├── Unavailable                   our fault, passing: try again; data["retry_after"] in seconds
    │   ├── TooManyPending            this caller's orders pile up; let workers catch up
    │   │   └── TooManyWaiting        the same of orders that wait for their time
    │   └── SecretsLocked             a secret in the database that none of our keys opens
    ├── AddressRefused                a URL or an address the callback policy does not allow
    ├── TransportError                a POST that got no usable answer; reason from a closed set
    ├── HandlerVerdict                raised by a handler to decide about its order
    │   ├── Reject                    the order fails, for good
    │   └── Retry                     the order is run again later
    └── RunInterrupted                raised by the kernel inside a handler; let it pass
        ├── LeaseLost                 another run owns the order now
        ├── RunBroken                 the database dropped this run's transaction
        ├── OrderCancelled            the caller cancelled; seen at a checkpoint
        └── WorkerStopping            the worker shuts down; seen at a checkpoint

Beside the tree stands TimeLimit, a BaseException: `except Exception` in a handler lets it pass.

Each class carries a stable ``code`` (part of the wire), a ``message`` for people and ``data``
for machines. HTTP status codes are not in here: `kernel.views.http.errors` maps classes to them.
"""

import re
from datetime import timedelta
from typing import Any, ClassVar

REJECT_CODE = re.compile(r"[a-z0-9_]{1,64}")
MAX_RETRY_SECONDS = 30 * 86_400


class KernelError(Exception):
    """Base of all errors. The first line of a class's docstring is its default message."""

    code: ClassVar[str] = "internal_error"

    def __init_subclass__(cls, code: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if code is not None:
            cls.code = code

    def __init__(self, message: str | None = None, **data: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.data = data
        super().__init__(self.message)


class ConfigurationError(KernelError, code="configuration_error"):
    """The configuration cannot work."""


class RequestRefused(KernelError, code="request_refused"):
    """The request was refused."""


class InvalidJson(RequestRefused, code="invalid_json"):
    """The body must be one JSON object in UTF-8."""


class NotJson(RequestRefused, code="not_json"):
    """The content type must be application/json."""


class BodyTooLarge(RequestRefused, code="body_too_large"):
    """The body is too large."""


class InvalidOrder(RequestRefused, code="invalid_order"):
    """The order is not valid.

    ``data["errors"]`` is a list of ``{"pointer", "code", "detail"}``; pointers are RFC 6901.
    """


class InvalidQuery(RequestRefused, code="invalid_query"):
    """The query string is not valid."""


class IdempotencyKeyReused(RequestRefused, code="idempotency_key_reused"):
    """The idempotency key was used before with another body."""


class Unauthenticated(RequestRefused, code="unauthenticated"):
    """Credentials are missing or wrong."""


class KeyExpired(Unauthenticated, code="key_expired"):
    """This API key has expired or was revoked."""


class Misdirected(RequestRefused, code="misdirected"):
    """This service is not known by that host name; see KERNEL_PUBLIC_URL and KERNEL_HOSTS."""


class Forbidden(RequestRefused, code="forbidden"):
    """These credentials do not allow that."""


class NotFound(RequestRefused, code="not_found"):
    """There is no such thing."""


class Conflict(RequestRefused, code="conflict"):
    """Its state does not allow that."""


class TooManyRequests(RequestRefused, code="too_many_requests"):
    """Too many requests; slow down."""


class Unavailable(KernelError, code="unavailable"):
    """Not possible right now; try again."""


class TooManyPending(Unavailable, code="too_many_pending"):
    """Too many of your orders are waiting; try again later."""


class TooManyWaiting(TooManyPending, code="too_many_waiting"):
    """Too many of your orders wait for their time; try again later."""


class SecretsLocked(Unavailable, code="secrets_locked"):
    """A secret in the database cannot be opened with the keys that are set."""


class AddressRefused(KernelError, code="callback_url_refused"):
    """The callback policy does not allow this address.

    ``rule`` names the rule that refused the address; callers may see it. ``setting`` is what would
    allow the address, for the operator's log alone: it may name a private network.
    """

    def __init__(self, rule: str, detail: str, setting: str | None = None) -> None:
        super().__init__(detail, rule=rule)
        self.rule = rule
        self.setting = setting


class TransportError(KernelError, code="transport_error"):
    """The request got no usable answer.

    ``reason`` is one of ``refused dns connect tls timeout too_large redirect protocol``, or
    ``no_room proxy secrets``, which tell of this end alone. ``detail`` is for the operator's log.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


class HandlerVerdict(KernelError):
    """A handler's decision about its order."""

    message = ""

    def check(self) -> None:
        """Raise TypeError or ValueError when this verdict cannot be carried out.

        Asked when it is made, and once more by the kernel: a subclass may leave out
        ``super().__init__``, or change what the verdict holds.
        """


class Reject(HandlerVerdict):
    """Refuse the order for good: it ends as ``failed`` with this code and message.

    Raise it from a handler, whose writes since its last checkpoint are rolled back. ``code`` is for
    machines (1 to 64 characters of a-z, 0-9 and _), ``message`` is shown to the caller. Raises
    TypeError or ValueError for others.
    """

    reject_code = ""

    def __init__(self, code: str, message: str) -> None:
        self.reject_code, self.message = code, message
        self.check()
        super().__init__(message or code)

    def check(self) -> None:
        """Raise TypeError or ValueError for a code or a message that no caller could be shown."""
        for name, given in (("code", self.reject_code), ("message", self.message)):
            if not isinstance(given, str):
                raise TypeError(f"Reject: {name} is a str, not {_named(given)}; write str(...)")
        if not REJECT_CODE.fullmatch(self.reject_code):
            raise ValueError(
                f"Reject: code {self.reject_code!r} is not 1 to 64 characters of a-z, 0-9 and _"
            )


class Retry(HandlerVerdict):
    """Ask to be run again after ``after`` seconds (0 to 30 days).

    Raise it from a handler. The handler's writes since its last checkpoint are rolled back; the
    next run finds ``run.state`` as that checkpoint left it. A Retry does not count as a crash.
    Without ``after`` the order is due again after 5 s, doubled with each of its retries up to
    15 min. After ``max_tries`` retries in all the order ends as ``failed`` with the code
    ``too_many_retries``; ``reason`` is logged, and shown to the caller then. Raises TypeError or
    ValueError for arguments that are none of that.
    """

    after: float | None = None
    max_tries: int | None = None
    reason: str | None = None

    def __init__(
        self, after: float | None = None, *, max_tries: int | None = None, reason: str | None = None
    ) -> None:
        self.after, self.max_tries, self.reason = after, max_tries, reason
        self.check()
        super().__init__("again later" if after is None else f"again in {after} s")

    def check(self) -> None:
        """Raise TypeError or ValueError for an argument that says nothing about when, or why."""
        if self.after is not None:
            _check_seconds(self.after)
        tries: Any = self.max_tries
        reason: Any = self.reason
        if tries is not None and (not isinstance(tries, int) or isinstance(tries, bool)):
            raise TypeError(f"Retry: max_tries is an int, not {_named(tries)}")
        if tries is not None and tries < 1:
            raise ValueError(f"Retry: max_tries is at least 1, not {tries}; or raise Reject")
        if reason is not None and not isinstance(reason, str):
            raise TypeError(f"Retry: reason is a str, not {_named(reason)}; write str(...)")


def _check_seconds(after: object) -> None:
    """Raise TypeError or ValueError for a pause that is no number of seconds up to the limit."""
    if isinstance(after, timedelta):
        raise TypeError("Retry: after is in seconds, not a timedelta; write .total_seconds()")
    if not isinstance(after, int | float) or isinstance(after, bool):
        raise TypeError(f"Retry: after is an int or a float, in seconds, not {_named(after)}")
    if not 0 <= after <= MAX_RETRY_SECONDS:  # nor is nan
        raise ValueError(f"Retry: after is 0 to {MAX_RETRY_SECONDS} s (30 days), not {after}")


def _named(given: object) -> str:
    return f"{type(given).__name__} ({given!r:.100})"


class RunInterrupted(KernelError):
    """The kernel ends this run. A handler lets it pass."""


class LeaseLost(RunInterrupted):
    """Another run owns this order now; this run can commit nothing."""


class RunBroken(RunInterrupted):
    """The database dropped this run's transaction; the order will be run again."""


class OrderCancelled(RunInterrupted):
    """The caller cancelled the order."""


class WorkerStopping(RunInterrupted):
    """The worker is shutting down; another one goes on from this checkpoint."""


class TimeLimit(BaseException):
    """The handler has run for its soft limit. Catch it to tidy up, or let it pass.

    Raised once per run. A handler that catches it may return an outcome or raise Retry; uncaught,
    the run ends as if its hard time limit had ended it.
    """
