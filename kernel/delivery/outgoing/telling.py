"""What one attempt does, in sentences for people. No secret is in them; texts of others are."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kernel.callers.receivers import Receiver
from kernel.delivery.attempt import FinishedAttempt
from kernel.delivery.outgoing.conversation import Answered, Asked, Unanswered
from kernel.delivery.outgoing.exchange import LookedUp
from kernel.delivery.outgoing.heard import shown
from kernel.delivery.outgoing.login import HIDDEN
from kernel.delivery.outgoing.request import Way
from kernel.formats.callback_headers import CALLBACK_HEADERS
from kernel.formats.durations import in_words
from kernel.formats.shapes.answer import Found
from kernel.formats.shapes.shape import DEFAULT
from kernel.transport.backoff import Dead, Delivered, PutOff
from kernel.transport.steps import Connected, Resolved, Secured

# Characters of an answer that are told.
BEGINNING = 200
# How OpenSSL marks its sentences: the name of the error, and a line of C.
_MARKS = re.compile(r"\[SSL[^\]]*\] | \(_ssl\.c:[0-9]+\)|^[A-Za-z]*Error: ")

_NEVER_SHOWN = frozenset(row.name for row in CALLBACK_HEADERS if row.secret)
_FAILED = {
    "refused": "the address is not allowed",
    "dns": "the name has no address",
    "connect": "no address took the connection",
    "tls": "TLS failed",
    "timeout": "no answer in time",
    "too_large": "the answer is too large",
    "redirect": "the answer is a redirect, and none is followed",
    "protocol": "the conversation broke off, or is not HTTP",
    "proxy": "the proxy of KERNEL_CALLBACK_PROXY does not do its work",
    "secrets": "no key in KERNEL_SECRETS_KEY opens its secrets",
    "no_room": "this process lacks a descriptor or a thread",
}
_CREDENTIALS = (
    "Look at the credentials: kernel receivers set NAME with --basic, --bearer or --oauth."
)
_NEXT = {
    "refused": "If the receiver is meant to be reached, allow its address by the setting above.",
    "dns": "Look at the host in the receiver's URL, and at this host's DNS server.",
    "connect": "Look whether the receiver runs, and whether a firewall lets this host through.",
    "tls": (
        "Look at the receiver's certificate. If an authority of your own has signed it, name that: "
        "kernel receivers set NAME --ca FILE."
    ),
    "timeout": "A slow receiver may have more time: kernel receivers set NAME --timeout 60s.",
    "redirect": "Give the receiver the URL that it redirects to; http often leads to https.",
    "token": "Look at the token endpoint, the client's id and its secret.",
    "template": "Give the test what the shape needs, as --reference, or change the shape.",
    "lookup": "Give a reference that the system knows, with --reference, and look at the rights.",
    "answer": (
        "The answer is not the one that this system gives: is the URL right, and does a login page "
        "or a proxy answer in its place?"
    ),
    "http_5xx": "The receiver has the fault; its own log says more.",
}
_NEXT_BY_STATUS = {
    401: _CREDENTIALS,
    403: f"The login may lack the right to write there. {_CREDENTIALS}",
    404: "Look at the receiver's URL, and whether there is what the reference names.",
    429: "The receiver is asked too often: kernel receivers set NAME --rate PER_MINUTE.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence. ``is_good``: None where it is neither good nor bad."""

    step: str
    text: str
    is_good: bool | None = None


class Telling:
    """Makes lines of steps, and passes each to ``told``.

    ``hide`` takes the receiver's secrets out of a text: set it before the first step.
    """

    def __init__(self, told: Callable[[Line], None]) -> None:
        self._told = told
        self._asked: Asked | None = None
        self._is_connected = False
        self.hide: Callable[[str], str] = str

    def way(self, way: Way, seconds: float) -> None:
        """Tell which receiver and which shape it is, and how long a request may take."""
        if way.receiver is not None:
            self._say("receiver", _receiver(way.receiver))
        self._say("shape", f"{_shape(way)}; each request may take {in_words(seconds)}")

    def step(self, step: Any) -> None:
        """Tell what a conversation, or the transport, has just done."""
        tells: dict[type, Callable[[Any], None]] = {
            Asked: self._ask,
            Resolved: lambda one: self._say(
                "resolved", f"{one.name} has {', '.join(one.addresses)}"
            ),
            Connected: self._connect,
            Secured: lambda one: self._say("tls", _secured(one), True),
            Answered: self._answer,
            Unanswered: self._fail,
            LookedUp: self._look_up,
        }
        tells[type(step)](step)

    def end(self, finished: FinishedAttempt, has_rules: bool) -> None:
        """Tell how the answer was judged, what would become of a callback, and what to do."""
        if finished.judged is not None or finished.status is not None:
            self._say("judged", _judged(finished, has_rules), finished.reason is None)
        verdict, why = finished.verdict, finished.reason or ""
        if isinstance(verdict, Delivered):
            self._say("verdict", "a callback like this would be delivered", True)
            return
        if isinstance(verdict, Dead):
            said = f"would be given up at once ({verdict.why})"
        elif isinstance(verdict, PutOff):
            said = f"would be put off, without an attempt counted ({why})"
        else:
            pause = in_words(round(verdict.pause.total_seconds()))
            said = f"would be tried again in {pause} ({why})"
        self._say("verdict", f"a callback like this {said}", False)
        known = _NEXT_BY_STATUS.get(finished.status or 0) or _NEXT.get(why)
        if known is not None:
            self._say("next", known)

    def _ask(self, step: Asked) -> None:
        self._asked, self._is_connected = step, False
        self._say(step.purpose, f"{step.request.method} {self.hide(step.request.url)}")

    def _connect(self, step: Connected) -> None:
        self._is_connected = True
        by = " through the proxy" if step.through_proxy else ""
        where = f"{step.address} port {step.port}"
        took = f"{step.milliseconds:.0f} ms"
        self._say("connected", f"to {where}{by} in {took}; the address is allowed", True)

    def _answer(self, step: Answered) -> None:
        response = step.response
        if not self._is_connected:
            self._say("connected", "by the connection that is open already", True)
        self._sent()
        kind = self.hide(response.headers.get("content-type", "no content type"))
        # What a token endpoint answers is the secret itself.
        text = HIDDEN if step.purpose == "token" else shown(response.body, self.hide)
        begins = f": {text[:BEGINNING]}" if text else ", without a body"
        if response.cut == "coding":
            coding = self.hide(response.headers.get("content-encoding", ""))[:BEGINNING]
            begins = f", packed as {coding}, which kernel cannot read{begins}"
        is_good = 200 <= response.status <= 299
        self._say("answered", f"{response.status}, {kind}{begins}", is_good)

    def _fail(self, step: Unanswered) -> None:
        if step.reason in ("timeout", "too_large", "redirect", "protocol") and self._is_connected:
            self._sent()
        detail = _MARKS.sub("", step.detail)
        said = _FAILED.get(step.reason, step.reason)
        self._say(step.reason, f"{said}: {detail}" if detail else said, False)

    def _sent(self) -> None:
        if self._asked is None:
            return
        request, hidden = self._asked.request, self._asked.secret_headers | _NEVER_SHOWN
        headers = (
            f"{name}: {HIDDEN if name.lower() in hidden else self.hide(value)}"
            for name, value in request.headers.items()
        )
        self._say("sent", f"{len(request.body)} bytes, with {'; '.join(headers)}")

    def _look_up(self, step: LookedUp) -> None:
        if isinstance(step.found, Found):
            self._say("found", self.hide(f"{step.found.value} for {step.wanted}"), True)
        else:
            said = f"not one record for {step.wanted}: {step.found.saw}"
            self._say("found", self.hide(said), False)

    def _say(self, step: str, text: str, is_good: bool | None = None) -> None:
        self._told(Line(step, text, is_good))


def _receiver(receiver: Receiver) -> str:
    kinds = ", ".join(receiver.describe_credentials()) or "none"
    return f"{receiver.name} at {receiver.url}; credentials: {kinds}"


def _shape(way: Way) -> str:
    if way.shape == DEFAULT:
        return "the default one: POST of the envelope, and the status decides"
    shape, judges = way.shape, "the status decides"
    if shape.answer:
        judges = f"{len(shape.answer)} rules judge the answer"
    kind = shape.content_type if shape.form is None else "a form"
    lookup = "" if shape.lookup is None else "after a lookup, "
    return f"its own: {lookup}{shape.method} of {kind}, and {judges}"


def _secured(step: Secured) -> str:
    subject = _name(step.certificate.get("subject", ()))
    names = [name for _, name in step.certificate.get("subjectAltName", ())]
    until = step.certificate.get("notAfter", "an unknown time")
    issuer = _name(step.certificate.get("issuer", ()))
    whose = ", ".join(names[:3]) or subject
    return f"{step.version}, verified; certificate for {whose}, by {issuer}, valid until {until}"


def _name(parts: Any) -> str:
    """Return the common name of a subject or issuer, else its organisation."""
    found: Mapping[str, str] = {name: value for part in parts for name, value in part}
    return found.get("commonName") or found.get("organizationName") or ""


def _judged(finished: FinishedAttempt, has_rules: bool) -> str:
    if finished.judged is not None:
        by = "by the rules of its shape: " if has_rules and finished.status is not None else ""
        return f"{by}{finished.judged}"
    good = "" if finished.reason is None else "not "
    return f"by the status: {finished.status} counts as {good}delivered"
