"""T5: write attempts and their verdicts, one commit for a batch."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, update

from kernel.db.statements.prepared import Prepared
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.delivery.attempt import FinishedAttempt
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ATTEMPT_SECONDS, ATTEMPTS_MADE, DELIVERIES_OVER
from kernel.transport.backoff import Dead, Delivered, RetryAt, is_client_error


def record(
    kernel: Kernel, finished: Sequence[FinishedAttempt], *, verdicts_only: bool = False
) -> None:
    """T5: write attempts and their verdicts in one commit, and count them for /metrics.

    A result whose claim is no longer the delivery's is kept as an attempt and changes nothing
    else: nothing overwrites ``delivered``. ``verdicts_only``: write no attempts. Raises the
    database's error, having written nothing.
    """
    now = kernel.clock.now()
    with kernel.write() as connection:
        for token, ids in _delivered(finished).items():
            connection.execute(_DELIVERED, {"ids": ids, "token": token, "now": now})
        failed = [_failed_row(one, now) for one in finished if one.verdict != Delivered()]
        if failed:
            connection.execute(_FAILED, failed)
        # Last: an attempt's foreign key locks the deliveries' table in InnoDB alone. A migration
        # that came between would wait for this transaction, and the updates for the migration.
        if not verdicts_only:
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
        "why": one.verdict.why if isinstance(one.verdict, Dead) else None,
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
        died_of=bindparam("why"),
        claim_token=None,
    )
)
