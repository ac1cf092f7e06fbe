"""T4 and T5: claim due deliveries in batches, POST each, write what came of them.

A claim moves ``next_attempt_at`` past the end of the attempt, so a sender that dies leaves its
deliveries due again and nothing has to rescue them. Delivery is at least once: the webhook-id is
the same on every attempt.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kernel.config.logging import binding
from kernel.delivery.claim import DueDelivery
from kernel.delivery.headers import _headers
from kernel.errors import TransportError
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import Answer, Dead, Delivered, RetryAt, is_client_error, verdict

log = logging.getLogger(__name__)

EXCERPT = 1000


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """What one POST came to; only `record` makes it count."""

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
        response = kernel.transport.post(
            due.url, _headers(due, traceparent, started_at), due.body, policy
        )
        status, phases = response.status, response.phases
        retry_after = response.headers.get("retry-after")
        reason = None if 200 <= status < 300 else f"http_{status // 100}xx"
        excerpt = response.excerpt.decode("utf-8", "replace").replace("\0", "\ufffd")[:EXCERPT]
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
    """Tell the operator, who may know addresses, what the caller is told in one word."""
    ids = {"delivery_id": due.id, "order_id": due.order_id, "origin": due.origin}
    log.info("callback attempt failed: %s", error.detail or error.reason, extra=ids)
