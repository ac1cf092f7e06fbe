"""One attempt: send a claimed delivery, and judge the answer. Runs in a sender thread.

Delivery is at least once: webhook-id and body are the same on every attempt, timestamp and
signature are the attempt's own.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kernel.callers.receivers import Terms
from kernel.config.logging import binding
from kernel.db.clock import AT_ONCE
from kernel.delivery.breakers import ANSWERED
from kernel.delivery.claim import DueDelivery
from kernel.delivery.outgoing.exchange import exchange
from kernel.delivery.outgoing.headers import delivery_headers
from kernel.delivery.outgoing.heard import Heard, failed, heard
from kernel.errors import SecretsLocked, TransportError
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import (
    NO_ROOM,
    NOT_ADMITTED,
    NOT_SENT,
    SECRETS,
    Answer,
    Dead,
    Delivered,
    PutOff,
    RetryIn,
    RetryPolicy,
    is_refusal,
    verdict,
)
from kernel.transport.client import Request

log = logging.getLogger(__name__)

# The reason of an attempt that a bug of ours ended. It counts like any other failure.
INTERNAL = "internal"
# The reason of an attempt whose process ended, in an orderly way, before the receiver's answer.
INTERRUPTED = "interrupted"
# Reasons of an attempt with which nothing was sent to the receiver.
UNSENT = frozenset({"token", "template", "refused"})


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """The result of one attempt. It counts once `record` has written it.

    ``judged``: what the receiver's own rules saw. ``is_refusal``: as of
    `kernel.transport.backoff.is_refusal`. ``has_receiver``: whether one matched.
    """

    due: DueDelivery
    started_at: datetime
    duration_ms: int
    status: int | None
    reason: str | None
    excerpt: str | None
    phases: Mapping[str, float]
    verdict: Delivered | RetryIn | PutOff | Dead
    judged: str | None = None
    is_refusal: bool = False
    has_receiver: bool = False

    @property
    def target_reason(self) -> str | None:
        """What the breaker of the target hears: a receiver's own 5xx is its path's, not the host's.

        A receiver that answers is a host that works; what was not sent tells nothing of it, with a
        receiver or without.
        """
        if self.reason in UNSENT:
            return NOT_ADMITTED
        return ANSWERED if self.has_receiver and self.reason == "http_5xx" else self.reason


def attempt(kernel: Kernel, due: DueDelivery) -> FinishedAttempt:
    """Send one claimed delivery and judge the answer. No transaction is open here."""
    ids = {"order_id": due.order_id, "delivery_id": due.id}
    with (
        binding(**ids, request_id=due.request_id),
        kernel.tracer.span("kernel.attempt", "client", due.traceparent) as span,
    ):
        finished = _attempt(kernel, due, span.traceparent)
        span.note(finished.reason is not None, **ids, attempt=due.attempt, reason=finished.reason)
        span.note(origin=due.origin, status=finished.status)
    return finished


def put_off(kernel: Kernel, due: DueDelivery) -> FinishedAttempt:
    """Return the end of an attempt that was not begun: this process had no thread for it."""
    return finish(kernel, due, kernel.clock.now(), 0, Heard(reason=NO_ROOM))


def interrupted(kernel: Kernel, due: DueDelivery, seconds: float) -> FinishedAttempt:
    """Return the end of an attempt, begun ``seconds`` ago, that this process will not see.

    The request may have arrived. The callback is due again at once, even after its last attempt.
    """
    started_at = kernel.clock.now() - timedelta(seconds=seconds)
    end = (due, started_at, round(seconds * 1000), None, INTERRUPTED, None)
    return FinishedAttempt(*end, phases={}, verdict=RetryIn(AT_ONCE))


def _attempt(kernel: Kernel, due: DueDelivery, traceparent: str | None) -> FinishedAttempt:
    started_at, started = kernel.clock.now(), time.monotonic()
    try:
        due.profile.check_open()  # first: nothing is looked up for what cannot be signed
        if due.profile.is_plain:
            headers = delivery_headers(due, traceparent, started_at)
            policy = kernel.callback_policy.merge(due.profile.grants)
            request = Request(due.url, headers, due.body)
            result = heard(kernel.transport.send(request, policy, due.caller_id))
        else:
            result = exchange(kernel, due, traceparent, started_at)
    except SecretsLocked as error:
        result = Heard(SECRETS)
        _log_failure(due, TransportError(SECRETS, error.message))
    except TransportError as error:
        _log_failure(due, error)
        result = failed(error)
    except Exception:
        log.exception("callback attempt ended by a bug of ours", extra=_ids(due))
        result = Heard(INTERNAL)
    else:
        if result.cut is not None:
            _log_cut(due, result.cut)
    return finish(kernel, due, started_at, round((time.monotonic() - started) * 1000), result)


def finish(
    kernel: Kernel, due: DueDelivery, started_at: datetime, duration_ms: int, result: Heard
) -> FinishedAttempt:
    """Return the end of an attempt, with how its delivery goes on."""
    refused = is_refusal(result.status, result.judgement, result.tries)
    answer = Answer(
        attempt=due.tries,
        client_errors=due.client_errors + refused,
        status=result.status,
        reason=result.reason,
        retry_after=result.retry_after,
        now=kernel.clock.now(),
        created_at=due.created_at,
        judged=result.judgement,
        tries=result.tries,
        fatal=result.fatal,
        turn=result.turn,
    )
    return FinishedAttempt(
        *(due, started_at, duration_ms, result.status, result.reason, result.excerpt),
        phases=result.phases,
        verdict=_judged(kernel, due, result, answer),
        judged=result.judged,
        is_refusal=refused,
        has_receiver=result.receiver is not None,
    )


def _judged(
    kernel: Kernel, due: DueDelivery, result: Heard, answer: Answer
) -> Delivered | RetryIn | PutOff | Dead:
    """Say how the delivery goes on, in any case: what was sent has to be recorded.

    An attempt without an end would be made again, and again, each time its claim has run out.
    """
    try:
        policy = due.profile.retry_policy(kernel.retry_policy)
        if result.receiver is not None:
            policy = _by_terms(policy, result.receiver.terms)
        return verdict(policy, answer)
    except Exception:
        log.exception("callback attempt judged by the defaults: a bug of ours", extra=_ids(due))
        return verdict(RetryPolicy(), replace(answer, retry_after=None))


def _by_terms(policy: RetryPolicy, terms: Terms) -> RetryPolicy:
    """Return the policy with a receiver's own schedule and give-up, where it has them."""
    schedule = policy.schedule if terms.schedule is None else terms.schedule
    give_up = policy.give_up_after if terms.give_up is None else terms.give_up
    return replace(policy, schedule=schedule, give_up_after=give_up)


def _log_failure(due: DueDelivery, error: TransportError) -> None:
    """Log the detail, which may name addresses: for the operator; callers see the reason alone."""
    if error.reason in NOT_SENT:
        log.warning("callback put off: %s", error.detail, extra=_ids(due))
    else:
        log.info("callback attempt failed: %s", error.detail or error.reason, extra=_ids(due))


def _log_cut(due: DueDelivery, reason: str) -> None:
    """Log why an answer's body was not read to its end: the connection could not be kept."""
    log.info("callback answered, but not to its end: %s", reason, extra=_ids(due))


def _ids(due: DueDelivery) -> dict[str, str]:
    return {"delivery_id": due.id, "order_id": due.order_id, "origin": due.origin}
