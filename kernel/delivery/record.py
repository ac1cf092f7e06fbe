"""T5: write attempts and their verdicts, one commit for a batch."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from kernel.db.clock import AT_ONCE, Clock, database_time
from kernel.db.statements.prepared import Prepared
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.delivery.attempt import FinishedAttempt
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import ATTEMPT_SECONDS, ATTEMPTS_MADE, DELIVERIES_OVER
from kernel.transport.backoff import Dead, Delivered, PutOff, RetryIn


def record(
    kernel: Kernel,
    finished: Sequence[FinishedAttempt],
    *,
    verdicts_only: bool = False,
    again: bool = False,
) -> None:
    """T5: write attempts and their verdicts in one commit, and count them for /metrics.

    A result whose claim is no longer the delivery's is kept as an attempt and changes nothing
    else: nothing overwrites ``delivered``. What was put off is no attempt and leaves no row of one.
    ``verdicts_only``: write no attempts. Raises the database's error, having written nothing,
    unless only the answer to COMMIT was lost: call it ``again``, and attempts that are there are
    not written twice.
    """
    clock = kernel.clock
    with kernel.write() as connection:
        for token, ids in _delivered(finished).items():
            connection.execute(_DELIVERED, {"ids": ids, "token": token, "now": clock.offset()})
        if retried := [_retried_row(one, clock) for one in finished if _is_retried(one)]:
            connection.execute(_RETRIED, retried)
        if put_off := [_put_off_row(one, clock) for one in finished if _is_put_off(one)]:
            connection.execute(_PUT_OFF, put_off)
        if dead := [_dead_row(one, clock) for one in finished if isinstance(one.verdict, Dead)]:
            connection.execute(_DEAD, dead)
        # Last: an attempt's foreign key locks the deliveries' table in InnoDB alone. A migration
        # that came between would wait for this transaction, and the updates for the migration.
        made = [one for one in finished if not _is_put_off(one)]
        new = _missing(connection, made) if again else made
        if new and not verdicts_only:
            _INSERT.execute_many(connection, [_attempt_row(one) for one in new])
    for one in finished:
        _count(kernel, one)


def _count(kernel: Kernel, one: FinishedAttempt) -> None:
    kernel.metrics.count(ATTEMPTS_MADE, one.reason or "delivered")
    if _is_put_off(one):
        return
    kernel.metrics.observe(ATTEMPT_SECONDS, one.duration_ms / 1000)
    if not isinstance(one.verdict, RetryIn):
        state = DeliveryState.DEAD if isinstance(one.verdict, Dead) else DeliveryState.DELIVERED
        kernel.metrics.count(DELIVERIES_OVER, state)


def _delivered(finished: Iterable[FinishedAttempt]) -> dict[str, list[str]]:
    by_token: dict[str, list[str]] = defaultdict(list)
    for one in finished:
        if one.verdict == Delivered():
            by_token[one.due.token].append(one.due.id)
    return by_token


def _missing(
    connection: Connection, finished: Sequence[FinishedAttempt]
) -> Sequence[FinishedAttempt]:
    """Return those whose rows are not there; the updates before have waited for an old COMMIT."""
    made = ATTEMPTS.c.delivery_id, ATTEMPTS.c.number, ATTEMPTS.c.started_at
    ids = [one.due.id for one in finished]
    there = set(map(tuple, connection.execute(select(*made).where(made[0].in_(ids)))))
    return [one for one in finished if (one.due.id, one.due.attempt, one.started_at) not in there]


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
        "judged": one.judged,
    }


def _is_retried(one: FinishedAttempt) -> bool:
    return isinstance(one.verdict, RetryIn)


def _is_put_off(one: FinishedAttempt) -> bool:
    return isinstance(one.verdict, PutOff)


def _put_off_row(one: FinishedAttempt, clock: Clock) -> dict[str, Any]:
    pause = one.verdict.pause if isinstance(one.verdict, PutOff) else AT_ONCE
    return {"delivery": one.due.id, "token": one.due.token, "again": clock.offset(pause)}


def _retried_row(one: FinishedAttempt, clock: Clock) -> dict[str, Any]:
    pause = one.verdict.pause if isinstance(one.verdict, RetryIn) else AT_ONCE
    return _failed_row(one) | {"again": clock.offset(pause)}


def _dead_row(one: FinishedAttempt, clock: Clock) -> dict[str, Any]:
    why = one.verdict.why if isinstance(one.verdict, Dead) else None
    return _failed_row(one) | {"now": clock.offset(), "why": why}


def _failed_row(one: FinishedAttempt) -> dict[str, Any]:
    errors = one.due.client_errors + one.is_refusal
    return {"delivery": one.due.id, "token": one.due.token, "errors": errors}


_MADE = ("delivery_id", "number", "started_at", "duration_ms")
_ANSWERED = ("status", "reason", "phases", "excerpt", "judged")
_INSERT = Prepared(insert(ATTEMPTS), _MADE + _ANSWERED)


_DELIVERED = (
    update(DELIVERIES)
    .where(
        DELIVERIES.c.id.in_(bindparam("ids", expanding=True)),
        DELIVERIES.c.claim_token == bindparam("token"),
    )
    .values(state=DeliveryState.DELIVERED, finished_at=database_time("now"), claim_token=None)
)


_CLAIMED = update(DELIVERIES).where(
    DELIVERIES.c.id == bindparam("delivery"), DELIVERIES.c.claim_token == bindparam("token")
)
_FAILED = _CLAIMED.values(client_errors=bindparam("errors"), claim_token=None)
# The claim counted an attempt that was not made.
_PUT_OFF = _CLAIMED.values(
    attempt=DELIVERIES.c.attempt - 1,
    tries=DELIVERIES.c.tries - 1,
    next_attempt_at=database_time("again"),
    claim_token=None,
)
# The pause counts from this statement, so a result that is recorded late is retried late.
_RETRIED = _FAILED.values(next_attempt_at=database_time("again"))
_DEAD = _FAILED.values(
    state=DeliveryState.DEAD,
    next_attempt_at=database_time("now"),
    finished_at=database_time("now"),
    died_of=bindparam("why"),
)
