"""Origins whose breaker is open, and what their last attempt said."""

from collections import defaultdict
from collections.abc import Iterable, Set

from sqlalchemy import Connection, select

from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.insight.conditions.facts import Failing
from kernel.insight.workers import Process, target_of

# The most origins that are named, and that are asked about.
SHOWN = 20


def failing_origins(connection: Connection, at_work: Iterable[Process]) -> list[Failing]:
    """Return the origins that some living process sends nothing to, or probes.

    Two short questions for each: which callback waits for it, and how its last attempt went. Raises
    the database's errors.
    """
    callers: dict[str, set[int]] = defaultdict(set)
    for written in (one for process in at_work for one in (*process.broken, *process.probing)):
        origin, caller_id = target_of(written)
        callers[origin] |= set() if caller_id is None else {caller_id}
    return [_failing(connection, origin, callers[origin]) for origin in sorted(callers)[:SHOWN]]


def _failing(connection: Connection, origin: str, callers: Set[int]) -> Failing:
    waiting = (
        select(DELIVERIES.c.id, DELIVERIES.c.tries)
        .where(
            DELIVERIES.c.state == DeliveryState.PENDING,
            DELIVERIES.c.is_retry.is_(True),
            DELIVERIES.c.caller_id.in_(sorted(callers)),
            DELIVERIES.c.origin == origin,
        )
        .order_by(DELIVERIES.c.next_attempt_at)
        .limit(1)
    )
    row = connection.execute(waiting).first() if callers else None
    if row is None:
        return Failing(origin, len(callers))
    asked = select(ATTEMPTS.c.reason, ATTEMPTS.c.status).where(ATTEMPTS.c.delivery_id == row.id)
    last = connection.execute(asked.order_by(ATTEMPTS.c.id.desc()).limit(1)).first()
    if last is None:
        return Failing(origin, len(callers))
    return Failing(origin, len(callers), last.reason, last.status, row.tries)
