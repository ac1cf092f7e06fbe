"""One attempt: POST a claimed delivery, and judge the answer. Runs in a sender thread.

Delivery is at least once: webhook-id and body are the same on every attempt, timestamp and
signature are the attempt's own.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kernel.config.logging import binding
from kernel.delivery.claim import DueDelivery
from kernel.delivery.headers import delivery_headers
from kernel.errors import TransportError
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import Answer, Dead, Delivered, RetryAt, is_client_error, verdict

log = logging.getLogger(__name__)

# Characters of an answer that are stored, for people.
EXCERPT = 1000


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """The result of one POST. It counts once `record` has written it."""

    due: DueDelivery
    started_at: datetime
    duration_ms: int
    status: int | None
    reason: str | None
    excerpt: str | None
    phases: Mapping[str, float]
    verdict: Delivered | RetryAt | Dead


def attempt(kernel: Kernel, due: DueDelivery) -> FinishedAttempt:
    """POST one claimed delivery and judge the answer. No transaction is open here."""
    ids = {"order_id": due.order_id, "delivery_id": due.id}
    with (
        binding(**ids, request_id=due.request_id),
        kernel.tracer.span("kernel.attempt", "client", due.traceparent) as span,
    ):
        finished = _attempt(kernel, due, span.traceparent)
        span.note(finished.reason is not None, **ids, attempt=due.attempt, reason=finished.reason)
        span.note(origin=due.origin, status=finished.status)
    return finished


def _attempt(kernel: Kernel, due: DueDelivery, traceparent: str | None) -> FinishedAttempt:
    started_at, started = kernel.clock.now(), time.monotonic()
    policy = kernel.callback_policy.merge(due.profile.grants)
    status, reason, excerpt, retry_after = None, None, None, None
    try:
        headers = delivery_headers(due, traceparent, started_at)
        response = kernel.transport.post(due.url, headers, due.body, policy)
        status, phases = response.status, response.phases
        retry_after = response.headers.get("retry-after")
        reason = None if 200 <= status < 300 else f"http_{status // 100}xx"
        excerpt = response.excerpt.decode("utf-8", "replace").replace("\0", "\ufffd")[:EXCERPT]
        if response.cut is not None:
            _log_cut(due, response.cut)
    except TransportError as error:
        reason, status = error.reason, error.data.get("status")
        phases = error.data.get("phases", {})
        _log_failure(due, error)
    duration_ms = round((time.monotonic() - started) * 1000)
    answer = Answer(
        attempt=due.tries,
        client_errors=due.client_errors + is_client_error(status),
        status=status,
        reason=reason,
        retry_after=retry_after,
        now=kernel.clock.now(),
        created_at=due.created_at,
    )
    decision = verdict(due.profile.retry_policy(kernel.retry_policy), answer)
    return FinishedAttempt(due, started_at, duration_ms, status, reason, excerpt, phases, decision)


def _log_failure(due: DueDelivery, error: TransportError) -> None:
    """Log the detail, which may name addresses: for the operator; callers see the reason alone."""
    log.info("callback attempt failed: %s", error.detail or error.reason, extra=_ids(due))


def _log_cut(due: DueDelivery, reason: str) -> None:
    """Log why an answer's body was not read to its end: the connection could not be kept."""
    log.info("callback answered, but not to its end: %s", reason, extra=_ids(due))


def _ids(due: DueDelivery) -> dict[str, str]:
    return {"delivery_id": due.id, "order_id": due.order_id, "origin": due.origin}
