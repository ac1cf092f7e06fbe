"""One attempt where a receiver, or a shape, says how: admitted, looked up, rendered, sent, judged.

Everything that can go wrong here has a reason of its own, and says in words what was seen.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from kernel.db.errors import DATABASE_ERRORS
from kernel.delivery.claim import DueDelivery, extend_claim
from kernel.delivery.outgoing.conversation import Conversation
from kernel.delivery.outgoing.headers import shaped_headers
from kernel.delivery.outgoing.heard import JUDGED, Heard, failed, heard, shown
from kernel.delivery.outgoing.memory import UnfitCertificate, memory_of
from kernel.delivery.outgoing.request import Refused, Unusable, Way, way_of
from kernel.delivery.outgoing.tokens import NoToken
from kernel.errors import TransportError
from kernel.formats.shapes.answer import (
    Found,
    Judged,
    NotFound,
    found,
    judge,
    judge_beginning,
    judge_status,
    refuses_token,
    wait_hint,
)
from kernel.formats.shapes.render import Facts, below, facts, question, render
from kernel.formats.shapes.rules import Lookup
from kernel.formats.shapes.shape import DEFAULT
from kernel.formats.shapes.template import TemplateFailed
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import (
    LOOKUP,
    NOT_ADMITTED,
    NOT_SENT,
    RETRY,
    SLOW_DOWN,
    retry_after_seconds,
)
from kernel.transport.client import Request, Response

log = logging.getLogger(__name__)

# Of an answer that rules judge, or in which something is looked up: systems answer with the ticket
# that was written to, whose description may be long and is escaped.
ANSWER_BYTES = 1024 * 1024
# Seconds to put an attempt off when its claim could not be made longer.
UNASKED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What the lookup for ``wanted`` found. An observer of the conversation is told."""

    wanted: str
    found: Found | NotFound


def exchange(kernel: Kernel, due: DueDelivery, traceparent: str | None, now: datetime) -> Heard:
    """Make one attempt the way that its receiver and its shape say. Raises nothing but bugs."""
    way = find_way(due)
    if isinstance(way, Heard):
        return way
    admission = memory_of(kernel).admission
    if way.receiver is None:
        admission.note_unmatched(due.target)
        return _attempt(kernel, due, way, traceparent, now)
    turn = admission.enter(way.receiver, due.profile.receivers)
    if turn > 0:
        return Heard(NOT_ADMITTED, turn=turn)
    ended, started = Heard("internal"), time.monotonic()
    try:
        ended = replace(_attempt(kernel, due, way, traceparent, now), receiver=way.receiver)
    finally:
        seconds = time.monotonic() - started
        admission.leave(way.receiver, ended.reason, seconds, _hold(ended, now))
    return ended


def find_way(due: DueDelivery) -> Way | Heard:
    """Return how a delivery goes out; why it does not, where nothing can be sent."""
    try:
        return way_of(due.profile, due.url, due.origin, due.shapes_until)
    except Refused as error:
        return Heard("refused", judged=str(error))
    except Unusable as error:
        return Heard("template", judged=str(error)[:JUDGED])


def budget(kernel: Kernel, way: Way) -> tuple[float, int]:
    """Return the seconds that each request of an attempt has, and how many requests it makes."""
    seconds = kernel.settings.callback_timeout
    if way.receiver is not None and way.receiver.terms.timeout is not None:
        seconds = way.receiver.terms.timeout
    return seconds, 1 if way.shape.lookup is None else 2


def _hold(ended: Heard, now: datetime) -> float:
    """Return for how many seconds the receiver asked to be sent nothing."""
    return retry_after_seconds(ended.retry_after, now) if ended.status in SLOW_DOWN else 0.0


def _attempt(
    kernel: Kernel, due: DueDelivery, way: Way, traceparent: str | None, now: datetime
) -> Heard:
    seconds, requests = budget(kernel, way)
    if not _is_claimed_for(kernel, due, seconds * requests):
        return Heard(NOT_ADMITTED, turn=UNASKED_SECONDS)
    conversation = Conversation(kernel, due, way.receiver, seconds, requests)
    return converse(conversation, due, way, traceparent, now)


def converse(
    conversation: Conversation,
    due: DueDelivery,
    way: Way,
    traceparent: str | None,
    now: datetime,
) -> Heard:
    """Look up, render, send and judge. Raises nothing but bugs."""
    try:
        ended = _sent(conversation, due, way, traceparent, now)
    except TransportError as error:
        return _failed(conversation, due, error)
    except TemplateFailed as error:
        ended = Heard("template", judged=str(error), fatal="template")
    except Refused as error:
        ended = Heard("refused", judged=str(error))
    except NoToken as error:
        ended = Heard("token", judged=str(error), retry_after=error.retry_after)
    except UnfitCertificate as error:
        ended = Heard("tls", judged=str(error))
    return ended if ended.judged is None else replace(ended, judged=_told(conversation, ended))


def _is_claimed_for(kernel: Kernel, due: DueDelivery, seconds: float) -> bool:
    """Have the claim outlast an attempt of ``seconds``; False when it is lost, or not known."""
    if seconds <= kernel.settings.callback_timeout:
        return True
    try:
        return extend_claim(kernel, due, seconds)
    except DATABASE_ERRORS as error:
        log.warning("claim not made longer: %s", type(error).__name__)
        return False


def _sent(
    conversation: Conversation,
    due: DueDelivery,
    way: Way,
    traceparent: str | None,
    now: datetime,
) -> Heard:
    # The default shape names nothing: it sends the body as the row has it, envelope or not.
    plain = way.shape == DEFAULT
    known = Facts({}, due.body) if plain else facts(due.body, due.id, way.variables)
    value = None
    if way.shape.lookup is not None:
        looked_up = _look_up(conversation, way, way.shape.lookup, known, now)
        if isinstance(looked_up, Heard):
            return looked_up
        value = looked_up.value
    secrets = {} if way.receiver is None else way.receiver.credentials.secrets
    rendered = render(way.shape, known, secrets, value)
    request = Request(
        way.check(below(way.base if rendered.url else way.url, rendered.url)),
        shaped_headers(due, rendered, traceparent, now),
        rendered.body,
        method=rendered.method,
        read_bytes=ANSWER_BYTES,
    )
    try:
        response = conversation.send(request, partial(_refuses_token, way))
    except TransportError as error:
        if error.reason != "redirect":
            raise
        # Its body is not read: the rules that ask for the status alone are those that can hold.
        ended = _failed(conversation, due, error)
        return _by_rules(ended, judge_status(way.shape, ended.status or 0))
    return _judged(conversation, way, response, now)


def _look_up(
    conversation: Conversation, way: Way, lookup: Lookup, known: Facts, now: datetime
) -> Found | Heard:
    """Ask for the one value that the request needs; return what was found, or how it failed."""
    asked = question(lookup, known)
    url = way.check(below(way.base, asked.url))
    headers = {"Accept": "application/json"}
    request = Request(url, headers, method="GET", read_bytes=ANSWER_BYTES)
    response = conversation.send(request, partial(_refuses_token, way), "lookup")
    hide = _hiding(conversation, response)
    answer = found(lookup, asked.wanted, response.status, response.body, hide)
    conversation.tell(LookedUp, asked.wanted, answer)
    if isinstance(answer, Found):
        return answer
    ended = replace(_heard(way, response, hide, now), judged=f"lookup: {answer.saw}")
    if answer.permanent:
        return replace(ended, reason=LOOKUP, fatal=LOOKUP)
    if answer.tries is not None or ended.reason is None:  # there was nothing yet
        return replace(ended, reason=LOOKUP, judgement=RETRY, tries=answer.tries)
    return ended


def _refuses_token(way: Way, response: Response) -> bool:
    return refuses_token(way.shape, response.status, response.body)


def _judged(conversation: Conversation, way: Way, response: Response, now: datetime) -> Heard:
    hide = _hiding(conversation, response)
    content_type = response.headers.get("content-type", "")
    judged = judge_beginning if _is_cut(response) else judge
    told = judged(way.shape, response.status, content_type, response.body, hide)
    return _by_rules(_heard(way, response, hide, now), told)


def _heard(way: Way, response: Response, hide: Callable[[str], str], now: datetime) -> Heard:
    """Return what an answer says before it is judged: its excerpt, and when to come back."""
    ended = heard(response)
    hint = wait_hint(way.shape, response.headers, now, response.status)
    asked = ended.retry_after or hint
    return replace(ended, excerpt=shown(response.body, hide), retry_after=asked)


def _by_rules(ended: Heard, told: Judged) -> Heard:
    if told.verdict is None:
        return replace(ended, judged=told.saw or None)
    reason = None if told.verdict in ("delivered", "done") else ended.reason or "answer"
    return replace(ended, reason=reason, judged=told.saw, judgement=told.verdict, tries=told.tries)


def _hiding(conversation: Conversation, response: Response) -> Callable[[str], str]:
    """Return what takes the secrets out of an answer, also one of which there is a beginning."""
    return partial(conversation.hide, is_cut=_is_cut(response))


def _is_cut(response: Response) -> bool:
    return response.cut is not None or len(response.body) >= ANSWER_BYTES


def _told(conversation: Conversation, ended: Heard) -> str:
    """Return what was seen, in words for people: short, and nothing secret in it."""
    return conversation.hide(ended.judged or "").replace("\0", "\ufffd")[:JUDGED]


def _failed(conversation: Conversation, due: DueDelivery, error: TransportError) -> Heard:
    """Log the detail, which may name addresses, for the operator; callers see the reason alone."""
    detail = conversation.hide(error.detail or "", is_cut=True) or error.reason
    said = "callback put off: %s" if error.reason in NOT_SENT else "callback attempt failed: %s"
    ids = {"delivery_id": due.id, "order_id": due.order_id, "origin": due.origin}
    log.log(logging.WARNING if error.reason in NOT_SENT else logging.INFO, said, detail, extra=ids)
    return failed(error)
