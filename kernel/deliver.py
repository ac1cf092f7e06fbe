"""T4 and T5: claim due deliveries in batches, POST each, write what came of them.

A claim moves ``next_attempt_at`` past the end of the attempt, so a sender that dies leaves its
deliveries due again and nothing has to rescue them. Delivery is at least once: the webhook-id is
the same on every attempt.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from kernel.addresses import CallbackPolicy
from kernel.auth import identities, signing_secrets
from kernel.columns import new_id
from kernel.errors import TransportError
from kernel.models import ATTEMPTS, DELIVERIES
from kernel.retry import Answer, Dead, Delivered, RetryAt, is_client_error, verdict
from kernel.runtime import Kernel
from kernel.signing import headers
from kernel.states import DeliveryState

log = logging.getLogger(__name__)

BATCH = 50
EXCERPT = 1000
# Beyond the callback's own timeout: waiting for a sender thread and writing the result.
LEASE_MARGIN_SECONDS = 30.0
USER_AGENT = "kernel-workorders"


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A claimed delivery: one attempt is ours to make, with everything it needs."""

    id: str
    order_id: str
    caller_id: int
    origin: str
    url: str
    body: bytes
    created_at: datetime
    attempt: int
    tries: int
    client_errors: int
    token: str
    secrets: tuple[str, ...]
    policy: CallbackPolicy


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """What one POST came to; only `record` makes it count."""

    due: DueDelivery
    started_at: datetime
    duration_ms: int
    status: int | None
    reason: str | None
    excerpt: str | None
    verdict: Delivered | RetryAt | Dead


def claim_due(kernel: Kernel, limit: int, skip: Collection[str] = ()) -> list[DueDelivery]:
    """T4: claim up to ``limit`` due deliveries, first attempts before retries.

    Deliveries to the origins in ``skip`` are left alone and lose no attempt. Two claims never
    return the same attempt.
    """
    now = kernel.clock.now()
    with kernel.reading() as session:  # an idle dispatcher takes no write lock
        ids = _due_ids(session, min(limit, BATCH), skip, now)
    if not ids:
        return []
    token = new_id(now)
    lease = kernel.settings.callback_timeout + LEASE_MARGIN_SECONDS
    with kernel.transaction() as session:
        session.execute(
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
                next_attempt_at=now + timedelta(seconds=lease),
            )
        )
        rows = session.execute(
            select(*_COLUMNS).where(DELIVERIES.c.id.in_(ids), DELIVERIES.c.claim_token == token)
        ).all()
        callers = {row.caller_id for row in rows}
        secrets = signing_secrets(session, list(callers), now)
        owners = identities(session, list(callers))
    policies = {key: owner.policy(kernel.callback_policy) for key, owner in owners.items()}
    return [
        DueDelivery(
            **row._mapping,
            token=token,
            secrets=tuple(secrets.get(row.caller_id, ())),
            policy=policies[row.caller_id],
        )
        for row in rows
    ]


_COLUMNS = tuple(
    DELIVERIES.c[name.name]
    for name in fields(DueDelivery)
    if name.name not in ("token", "secrets", "policy")
)


def _due_ids(session: Session, limit: int, skip: Collection[str], now: datetime) -> list[str]:
    due = (
        select(DELIVERIES.c.id)
        .where(DELIVERIES.c.state == DeliveryState.PENDING, DELIVERIES.c.next_attempt_at <= now)
        .order_by(DELIVERIES.c.next_attempt_at)
    )
    if skip:
        due = due.where(DELIVERIES.c.origin.not_in(list(skip)))
    ids = list(session.scalars(due.where(DELIVERIES.c.tries == 0).limit(limit)))
    if len(ids) < limit:
        ids += session.scalars(due.where(DELIVERIES.c.tries > 0).limit(limit - len(ids)))
    return ids


def attempt(kernel: Kernel, due: DueDelivery) -> FinishedAttempt:
    """POST one claimed delivery and judge the answer. No transaction is open here."""
    started_at, started = kernel.clock.now(), time.monotonic()
    status, reason, excerpt, retry_after = None, None, None, None
    try:
        response = kernel.transport.post(due.url, _headers(due, started_at), due.body, due.policy)
        status, retry_after = response.status, response.headers.get("retry-after")
        reason = None if 200 <= status < 300 else f"http_{status // 100}xx"
        excerpt = response.excerpt.decode("utf-8", "replace").replace("\0", "�")[:EXCERPT]
    except TransportError as error:
        reason = error.reason
        log.info(
            "callback attempt failed: %s",
            error.detail or reason,
            extra={"delivery_id": due.id, "order_id": due.order_id},
        )
    duration_ms = round((time.monotonic() - started) * 1000)
    decision = verdict(
        kernel.retry_policy,
        Answer(
            attempt=due.tries,
            client_errors=due.client_errors + is_client_error(status),
            status=status,
            reason=reason,
            retry_after=retry_after,
            now=kernel.clock.now(),
            created_at=due.created_at,
        ),
    )
    return FinishedAttempt(due, started_at, duration_ms, status, reason, excerpt, decision)


def _headers(due: DueDelivery, now: datetime) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **headers(due.secrets, due.id, int(now.timestamp()), due.body),
    }


def record(kernel: Kernel, finished: Sequence[FinishedAttempt]) -> None:
    """T5: write attempts and their verdicts, one commit for all of them.

    A result whose claim is no longer the delivery's is kept as an attempt and changes nothing
    else: nothing overwrites ``delivered``.
    """
    now = kernel.clock.now()
    with kernel.transaction() as session:
        session.execute(insert(ATTEMPTS), [_attempt_row(one) for one in finished])
        for token, ids in _delivered(finished).items():
            session.execute(
                update(DELIVERIES)
                .where(DELIVERIES.c.id.in_(ids), DELIVERIES.c.claim_token == token)
                .values(state=DeliveryState.DELIVERED, finished_at=now, claim_token=None)
            )
        failed = [_failed_row(one, now) for one in finished if one.verdict != Delivered()]
        if failed:
            session.connection().execute(_FAILED, failed)


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
