"""What a bulk act does to many callbacks in one commit: they are sent again, or dropped."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from kernel.bulk.progress import Left, Noting, Progress
from kernel.callers.matching import NAMED
from kernel.callers.receivers import origin_of_named
from kernel.db.statements.keyset import Key
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.receivers import SHAPES
from kernel.db.transactions import rowcount
from kernel.delivery.redeliver import make_due
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import DELIVERIES_OVER
from kernel.transport.backoff import DROPPED

IN_FLIGHT = "in_flight"
_COLUMNS = tuple(
    DELIVERIES.c[name] for name in ("id", "caller_id", "url", "state", "claim_token", "died_of")
)


def redeliver_many(
    kernel: Kernel, progress: Progress, ids: Sequence[str], place: Key | None, *, reshaped: bool
) -> None:
    """Make callbacks that are over due now, with the job's place, in one commit.

    ``reshaped``: they are sent as their receivers' shapes are now. Raises Overtaken.
    """
    with kernel.write_session() as session:
        fit = _fitting(session, progress, ids, DeliveryState.over())
        moved: dict[str, Any] = {}
        if reshaped:
            moved["shapes_until"] = select(func.max(SHAPES.c.id)).scalar_subquery()
        done = 0
        for (caller_id, name), group in _by_receiver(fit).items():
            more = dict(moved)
            if name is not None:  # the receiver of that name may be another one by now
                more["origin"] = origin_of_named(session.connection(), caller_id, name)
            done += make_due(kernel, session, group, more)
        _note(session, progress, place, "deliveries.replay", fit)
    progress.written(place, done)


def drop_many(kernel: Kernel, progress: Progress, ids: Sequence[str], place: Key | None) -> None:
    """Have callbacks never be sent (again), with the job's place, in one commit: they are dead.

    Raises Overtaken.
    """
    undelivered = (DeliveryState.PENDING, DeliveryState.HELD, DeliveryState.DEAD)
    with kernel.write_session() as session:
        fit = _fitting(session, progress, ids, undelivered)
        now = kernel.clock.sql()
        its = DELIVERIES.c
        # Of a dead one, when it was given up. First: MariaDB reads a state as it was set before.
        at = case((its.state == DeliveryState.DEAD, its.next_attempt_at), else_=now)
        over = [(its.next_attempt_at, at), (its.state, DeliveryState.DEAD), (its.died_of, DROPPED)]
        over.append((its.finished_at, func.coalesce(its.finished_at, now)))
        these = update(DELIVERIES).where(its.id.in_([row.id for row in fit]))
        done = rowcount(session.execute(these.ordered_values(*over))) if fit else 0
        _note(session, progress, place, "deliveries.drop", fit)
    progress.written(place, done)
    for row in fit:
        if row.state != DeliveryState.DEAD:
            kernel.metrics.count(DELIVERIES_OVER, DeliveryState.DEAD)


def _fitting(
    session: Session, progress: Progress, ids: Sequence[str], states: Sequence[DeliveryState]
) -> list[Any]:
    """Lock these callbacks, and return those that can be changed; the others are left."""
    locked = select(*_COLUMNS).where(DELIVERIES.c.id.in_(ids)).order_by(DELIVERIES.c.id)
    fit, left = [], []
    for row in session.execute(locked.with_for_update()).all():
        if row.claim_token is not None:
            left.append(Left(row.id, IN_FLIGHT))
        elif row.state not in states:
            left.append(Left(row.id, f"is_{row.state}"))
        else:
            fit.append(row)
    progress.left = left
    return fit


def _by_receiver(rows: Sequence[Any]) -> dict[tuple[int, str | None], list[str]]:
    """Group callbacks to named receivers by caller and name; all to plain URLs are one group."""
    found: dict[tuple[int, str | None], list[str]] = defaultdict(list)
    for row in rows:
        is_named = row.url.startswith(NAMED)
        key = (row.caller_id, row.url.removeprefix(NAMED)) if is_named else (0, None)
        found[key].append(row.id)
    return found


def _note(
    session: Session, progress: Progress, place: Key | None, verb: str, rows: Sequence[Any]
) -> None:
    """Write the act of a batch, if it has changed any, and the job's place in any case."""
    if not rows:
        progress.write(session, place, 0)
        return
    facts = {"count": len(rows), "first": rows[0].id, "last": rows[-1].id}
    by = Noting(progress, place, len(rows))
    by.record(session, verb, f"bulk {progress.job.id}", after=facts)
