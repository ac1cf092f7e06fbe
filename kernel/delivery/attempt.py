"""T4 and T5: claim due deliveries in batches, POST each, write what came of them.

A claim moves ``next_attempt_at`` past the end of the attempt, so a sender that dies leaves its
deliveries due again and nothing has to rescue them. Delivery is at least once: the webhook-id is
the same on every attempt.
"""

import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import CompoundSelect, bindparam, func, insert, select, union_all, update

from kernel.callers.profile import senders_of
from kernel.config.logging import binding
from kernel.db.columns import new_id
from kernel.db.prepared import Prepared
from kernel.db.states import DeliveryState
from kernel.db.tables.orders import ATTEMPTS, DELIVERIES, ORDERS
from kernel.delivery.breakers import Lane, Pauses
from kernel.delivery.first_attempt import ClaimedDeliveries, DueDelivery, claim_end, paused
from kernel.errors import TransportError
from kernel.formats.signing import headers
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ATTEMPT_SECONDS, ATTEMPTS_MADE, DELIVERIES_OVER
from kernel.transport.backoff import Answer, Dead, Delivered, RetryAt, is_client_error, verdict

log = logging.getLogger(__name__)

BATCH = 50
EXCERPT = 1000
USER_AGENT = "kernel-workorders"


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


def due_lanes(kernel: Kernel) -> list[Lane]:
    """Return the lanes in which something is due and nobody has paused.

    One statement that jumps from lane to lane through the index, however many deliveries wait.
    """
    now = kernel.clock.now()
    with kernel.asking() as connection:
        found = connection.execute(_LANES).all()
        due = [Lane(*row[:3]) for row in found if row[3] <= now]
        pauses = paused(connection) if due else Pauses()
    return [one for one in due if not pauses.hold(one.caller_id, one.origin)]


_LANE = (DELIVERIES.c.late, DELIVERIES.c.caller_id, DELIVERIES.c.origin)
_LANES = (
    select(*_LANE, func.min(DELIVERIES.c.next_attempt_at))
    .where(DELIVERIES.c.state == DeliveryState.PENDING)
    # By the constant too: without it MariaDB reads the whole index instead of jumping.
    .group_by(DELIVERIES.c.state, *_LANE)
)


def claim_due(kernel: Kernel, shares: Mapping[Lane, int], ahead: int = 1) -> ClaimedDeliveries:
    """T4: claim so many due deliveries from each lane. Two claims never return the same attempt.

    Not from more than a few hundred lanes: one statement asks them all. With ``ahead`` above 1
    those are left to others that are due before them, so many shares less one, as far as a lane is
    long enough.
    """
    if not shares:
        return ClaimedDeliveries()
    now = kernel.clock.now()
    due: dict[Lane, list[str]] = defaultdict(list)
    with kernel.asking() as connection:
        for delivery_id, *where in connection.execute(_first_due(shares, ahead, now)):
            due[Lane(*where)].append(delivery_id)
        senders = senders_of(connection, {lane.caller_id for lane in shares}, now)
    if not due:
        return ClaimedDeliveries()
    last = {lane: found[-shares[lane] :] for lane, found in due.items()}
    ids = [delivery_id for found in last.values() for delivery_id in found]
    token = new_id(now)
    # As short as it can be: whoever claims the same ones waits for it.
    with kernel.statements() as connection:
        connection.execute(
            update(DELIVERIES)
            .where(
                DELIVERIES.c.id.in_(ids),
                DELIVERIES.c.state == DeliveryState.PENDING,
                DELIVERIES.c.next_attempt_at <= now,
            )
            .values(
                claim_token=token,
                attempt=DELIVERIES.c.attempt + 1,
                tries=DELIVERIES.c.tries + 1,
                late=True,
                next_attempt_at=claim_end(kernel, now),
            )
        )
        rows = connection.execute(
            select(*_COLUMNS)
            .join(ORDERS, ORDERS.c.id == DELIVERIES.c.order_id)
            .where(DELIVERIES.c.id.in_(ids), DELIVERIES.c.claim_token == token)
        ).all()
    ours = [DueDelivery(**row._mapping, token=token, sender=senders[row.caller_id]) for row in rows]
    return ClaimedDeliveries(
        ours, Counter(lane.origin for lane, found in last.items() for _ in found)
    )


_COLUMNS = (
    *(DELIVERIES.c[field.name] for field in fields(DueDelivery) if field.name in DELIVERIES.c),
    *(ORDERS.c.request_id, ORDERS.c.traceparent),
)


def _first_due(shares: Mapping[Lane, int], ahead: int, now: datetime) -> CompoundSelect[Any]:
    """Ask for what was due first in each lane, of all lanes at once: ids and lanes."""
    lanes = (
        select(DELIVERIES.c.id, *_LANE)
        .where(
            DELIVERIES.c.state == DeliveryState.PENDING,
            DELIVERIES.c.late == lane.late,
            DELIVERIES.c.caller_id == lane.caller_id,
            DELIVERIES.c.origin == lane.origin,
            DELIVERIES.c.next_attempt_at <= now,
        )
        .order_by(DELIVERIES.c.next_attempt_at)
        .limit(count * ahead)
        for lane, count in shares.items()
    )
    return union_all(*(select(lane.subquery()) for lane in lanes))


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
    policy = kernel.callback_policy.merge(due.sender.grants)
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
    decision = verdict(due.sender.retry_policy(kernel.retry_policy), answer)
    return FinishedAttempt(due, started_at, duration_ms, status, reason, excerpt, phases, decision)


def _log_failure(due: DueDelivery, error: TransportError) -> None:
    """Tell the operator, who may know addresses, what the caller is told in one word."""
    ids = {"delivery_id": due.id, "order_id": due.order_id, "origin": due.origin}
    log.info("callback attempt failed: %s", error.detail or error.reason, extra=ids)


def _headers(due: DueDelivery, traceparent: str | None, now: datetime) -> dict[str, str]:
    follow = {"x-request-id": due.request_id, "traceparent": traceparent}
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **due.sender.headers,
        **{name: value for name, value in follow.items() if value is not None},
        **headers(due.sender.secrets, due.id, int(now.timestamp()), due.body),
    }


def record(kernel: Kernel, finished: Sequence[FinishedAttempt]) -> None:
    """T5: write attempts and their verdicts, one commit for all of them.

    A result whose claim is no longer the delivery's is kept as an attempt and changes nothing
    else: nothing overwrites ``delivered``.
    """
    now = kernel.clock.now()
    with kernel.statements() as connection:
        for token, ids in _delivered(finished).items():
            connection.execute(_DELIVERED, {"ids": ids, "token": token, "now": now})
        failed = [_failed_row(one, now) for one in finished if one.verdict != Delivered()]
        if failed:
            connection.execute(_FAILED, failed)
        # Last: an attempt's key locks its delivery's table in InnoDB alone, and a migration that
        # comes before the updates then waits for us while we wait for it.
        _INSERT.execute_many(connection, [_attempt_row(one) for one in finished])
    for one in finished:
        _count(kernel, one)


def _count(kernel: Kernel, one: FinishedAttempt) -> None:
    kernel.metrics.count(ATTEMPTS_MADE, one.reason or "delivered")
    kernel.metrics.observe(ATTEMPT_SECONDS, one.duration_ms / 1000)
    if not isinstance(one.verdict, RetryAt):
        state = DeliveryState.DEAD if isinstance(one.verdict, Dead) else DeliveryState.DELIVERED
        kernel.metrics.count(DELIVERIES_OVER, state)


def _delivered(finished: Iterable[FinishedAttempt]) -> dict[str, list[str]]:
    by_token: dict[str, list[str]] = defaultdict(list)
    for one in finished:
        if one.verdict == Delivered():
            by_token[one.due.token].append(one.due.id)
    return by_token


def _attempt_row(one: FinishedAttempt) -> dict[str, Any]:
    return {
        "delivery_id": one.due.id,
        "number": one.due.attempt,
        "started_at": one.started_at,
        "duration_ms": one.duration_ms,
        "status": one.status,
        "reason": one.reason,
        "phases": json.dumps({name: round(ms, 1) for name, ms in one.phases.items()}),
        "excerpt": one.excerpt,
    }


def _failed_row(one: FinishedAttempt, now: datetime) -> dict[str, Any]:
    again = one.verdict.at if isinstance(one.verdict, RetryAt) else None
    return {
        "delivery": one.due.id,
        "token": one.due.token,
        "new_state": DeliveryState.DEAD if again is None else DeliveryState.PENDING,
        "again": again or now,
        "ended": now if again is None else None,
        "errors": one.due.client_errors + is_client_error(one.status),
    }


_MADE = ("delivery_id", "number", "started_at", "duration_ms")
_ANSWERED = ("status", "reason", "phases", "excerpt")
_INSERT = Prepared(insert(ATTEMPTS), _MADE + _ANSWERED)
_DELIVERED = (
    update(DELIVERIES)
    .where(
        DELIVERIES.c.id.in_(bindparam("ids", expanding=True)),
        DELIVERIES.c.claim_token == bindparam("token"),
    )
    .values(state=DeliveryState.DELIVERED, finished_at=bindparam("now"), claim_token=None)
)
_FAILED = (
    update(DELIVERIES)
    .where(DELIVERIES.c.id == bindparam("delivery"), DELIVERIES.c.claim_token == bindparam("token"))
    .values(
        state=bindparam("new_state"),
        next_attempt_at=bindparam("again"),
        finished_at=bindparam("ended"),
        client_errors=bindparam("errors"),
        claim_token=None,
    )
)
