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

from typing import Any, ClassVar


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


class Reject(HandlerVerdict):
    """Refuse the order for good: it ends as ``failed`` with this code and message.

    Raise it from a handler. The handler's writes since its last checkpoint are rolled back.
    ``code`` is a short stable word for machines (at most 64 characters of a-z, 0-9 and _),
    ``message`` is shown to the caller.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.reject_code = code


class Retry(HandlerVerdict):
    """Ask to be run again after ``after`` seconds.

    Raise it from a handler. The handler's writes since its last checkpoint are rolled back; the
    next run finds ``run.state`` as that checkpoint left it. A Retry does not count as a crash.
    """

    def __init__(self, after: float = 5.0) -> None:
        super().__init__(f"again in {after} s")
        self.after = after


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
