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
    │   ├── Forbidden                 credentials that may not do this
    │   ├── NotFound                  no such row, or another caller's
    │   ├── Conflict                  the row's state does not allow this
    │   └── TooManyRequests           the caller's limit; data["retry_after"] in seconds
    ├── Unavailable                   our fault, passing: try again; data["retry_after"] in seconds
    │   └── TooManyPending            this caller's orders pile up; let workers catch up
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

    def __init__(self, message: str | None = None, **data: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.data = data
        super().__init__(self.message)


class ConfigurationError(KernelError):
    """The configuration cannot work."""

    code = "configuration_error"


class RequestRefused(KernelError):
    """The request was refused."""

    code = "request_refused"


class InvalidJson(RequestRefused):
    """The body must be one JSON object in UTF-8."""

    code = "invalid_json"


class NotJson(RequestRefused):
    """The content type must be application/json."""

    code = "not_json"


class BodyTooLarge(RequestRefused):
    """The body is too large."""

    code = "body_too_large"


class InvalidOrder(RequestRefused):
    """The order is not valid.

    ``data["errors"]`` is a list of ``{"pointer", "code", "detail"}``; pointers are RFC 6901.
    """

    code = "invalid_order"


class InvalidQuery(RequestRefused):
    """The query string is not valid."""

    code = "invalid_query"


class IdempotencyKeyReused(RequestRefused):
    """The idempotency key was used before with another body."""

    code = "idempotency_key_reused"


class Unauthenticated(RequestRefused):
    """Credentials are missing or wrong."""

    code = "unauthenticated"


class Forbidden(RequestRefused):
    """These credentials do not allow that."""

    code = "forbidden"


class NotFound(RequestRefused):
    """There is no such thing."""

    code = "not_found"


class Conflict(RequestRefused):
    """Its state does not allow that."""

    code = "conflict"


class TooManyRequests(RequestRefused):
    """Too many requests; slow down."""

    code = "too_many_requests"


class Unavailable(KernelError):
    """Not possible right now; try again."""

    code = "unavailable"


class TooManyPending(Unavailable):
    """Too many of your orders are waiting; try again later."""

    code = "too_many_pending"


class AddressRefused(KernelError):
    """The callback policy does not allow this address.

    ``rule`` names the rule that refused the address; callers may see it. ``setting`` is what the
    operator could change to allow the address; it goes only to the operator's log, as it may name
    a private network.
    """

    code = "callback_url_refused"

    def __init__(self, rule: str, detail: str, setting: str | None = None) -> None:
        super().__init__(detail, rule=rule)
        self.rule = rule
        self.setting = setting


class TransportError(KernelError):
    """The POST got no usable answer.

    ``reason`` is one of ``refused dns connect tls timeout too_large redirect http_4xx http_5xx
    protocol``; ``detail`` is for the operator's log and may name addresses.
    """

    code = "transport_error"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


class HandlerVerdict(KernelError):
    """A handler's decision about its order."""

    message = ""

    def check(self) -> None:
        """Raise TypeError or ValueError when this verdict cannot be carried out.

        A verdict checks its arguments when it is made, and the kernel checks once more: a subclass
        may leave out ``super().__init__`` or change what it holds.
        """


class Reject(HandlerVerdict):
    """Refuse the order for good: it ends as ``failed`` with this code and message.

    Raise it from a handler. The handler's writes since its last checkpoint are rolled back.
    ``code`` is a short stable word for machines (1 to 64 characters of a-z, 0-9 and _),
    ``message`` is shown to the caller. Raises TypeError or ValueError for others.
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
