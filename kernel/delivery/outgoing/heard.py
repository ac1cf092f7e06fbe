"""The result of one attempt, before it is judged how the delivery goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kernel.callers.receivers import Receiver
from kernel.errors import TransportError
from kernel.formats.shapes.answer import text_of
from kernel.transport.backoff import Judgement
from kernel.transport.client import Response

# Characters of an answer, and of what a receiver's rules saw in it, that are stored for people.
EXCERPT, JUDGED = 1000, 255


# Not frozen: that takes three times as long to make, and each callback makes one.
@dataclass(slots=True)
class Heard:
    """What came back of one attempt, as `kernel.delivery.attempt.FinishedAttempt` has it.

    ``judged``: what the receiver's rules saw, in words. ``judgement``, ``tries``, ``fatal`` and
    ``turn``: see `kernel.transport.backoff.Answer`. ``receiver``: whose terms hold.
    """

    reason: str | None
    status: int | None = None
    excerpt: str | None = None
    retry_after: str | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    cut: str | None = None
    judged: str | None = None
    judgement: Judgement | None = None
    tries: int | None = None
    fatal: str | None = None
    turn: float = 0.0
    receiver: Receiver | None = None


def reason_of(status: int) -> str | None:
    """Return why an answer with this status is a failure; None for a 2xx."""
    return None if 200 <= status < 300 else f"http_{status // 100}xx"


def heard(response: Response) -> Heard:
    """Return what the status of an answer says, which decides where no rules do."""
    return Heard(
        reason_of(response.status),
        response.status,
        response.body.decode("utf-8", "replace").replace("\0", "\ufffd")[:EXCERPT],
        response.headers.get("retry-after"),
        response.phases,
        response.cut,
    )


def failed(error: TransportError) -> Heard:
    """Return what a failure of the transport says; of a redirect, status and Retry-After too."""
    status, asked = error.data.get("status"), error.data.get("retry_after")
    phases = error.data.get("phases", {})
    return Heard(error.reason, status, retry_after=asked, phases=phases)


def shown(body: bytes, hide: Callable[[str], str]) -> str:
    """Return the beginning of an answer's body for people: hostile text, without NUL.

    ``hide`` takes the receiver's secrets out of all of it, before it is cut.
    """
    return hide(text_of(body)).replace("\0", "\ufffd")[:EXCERPT]
