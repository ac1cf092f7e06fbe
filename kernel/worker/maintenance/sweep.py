"""What makes lost messages and dead workers harmless: find what is due, rescue, fail.

Any dispatcher may sweep; a conditional update on one row lets one of them do so per interval.
Returns ids; the dispatcher sends the hints.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, zip_longest

from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from kernel.db.columns import first_id
from kernel.db.states import OrderState, Outcome
from kernel.db.tables.orders import (
    FENCE,
    HELD,
    ORDERS,
    HeldOrder,
    SelectTag,
    Sweep,
    rowcount,
)
from kernel.formats.texts import text as message
from kernel.insight import process_metrics as metering
from kernel.insight.workers import forget_silent
from kernel.runtime.kernel import Kernel
from kernel.runtime.metrics import RESCUED

log = logging.getLogger(__name__)

HINTS = 200
RESCUES = 100
UNKNOWN_AFTER = timedelta(hours=1)


@dataclass(slots=True)
class Swept:
    """What a sweep did."""

    rescued: list[str] = field(default_factory=list)
    failed: dict[str, Outcome] = field(default_factory=dict)


def next_turn(kernel: Kernel) -> float:
    """Claim the sweep of this interval: return 0 when it is ours, else the seconds to the next."""
    interval, now = kernel.settings.sweep_seconds, kernel.clock.now()
    with kernel.asking() as connection:
        last = connection.scalar(_LAST)
    if last is None:
        return 0.0 if _first_turn(kernel, now) else interval
    since = (now - last).total_seconds()
    if abs(since) < interval:  # another process's clock may be a little ahead
        return interval - since
    with kernel.transaction() as session:
        taken = session.execute(update(Sweep).where(Sweep.swept_at == last).values(swept_at=now))
    return 0.0 if rowcount(taken) == 1 else interval


_LAST = select(Sweep.swept_at)


def _first_turn(kernel: Kernel, now: datetime) -> bool:
    try:
        with kernel.transaction() as session:
            session.execute(insert(Sweep).values(id=1, swept_at=now))
    except IntegrityError:
        return False
    return True


def sweep(kernel: Kernel, *, rescue: bool) -> Swept:
    """Sweep once: rescue, fail orders of unknown tags, forget workers that are gone.

    ``rescue`` is False until this process has reached the database without a break for a whole
    lease: an outage is not a death. What is due is found by `due_orders`, before and apart from
    this: no trouble in here may keep orders from being hinted.
    """
    swept = Swept()
    if rescue:
        _rescue(kernel, swept)
    _fail_unknown(kernel, swept)
    with kernel.transaction() as session:
        forget_silent(session, kernel.clock.now())
    metering.fold(kernel)
    return swept


def due_orders(kernel: Kernel, limit: int, waiting: float = 0.0) -> list[str]:
    """Return up to ``limit`` orders of known tags, one of each caller in turn.

    They have been due for ``waiting`` seconds: one that became due just now has been hinted.
    """
    due = kernel.clock.now() - timedelta(seconds=waiting)
    with kernel.reading() as session:
        rows = session.execute(
            select(ORDERS.c.caller_id, ORDERS.c.id)
            .where(
                ORDERS.c.state == OrderState.PENDING,
                ORDERS.c.run_after <= due,
                ORDERS.c.select_tag.in_(list(kernel.handlers)),
            )
            .order_by(ORDERS.c.run_after)
            .limit(limit)
        ).all()
    by_caller: dict[int, list[str]] = defaultdict(list)
    for caller_id, order_id in rows:
        by_caller[caller_id].append(order_id)
    return [i for i in chain.from_iterable(zip_longest(*by_caller.values())) if i is not None]


def waiting_longest(kernel: Kernel) -> float:
    """Return for how many seconds the oldest due order of a known tag waits; 0 if none does."""
    now = kernel.clock.now()
    with kernel.reading() as session:
        oldest = session.scalar(
            select(ORDERS.c.run_after)
            .where(
                ORDERS.c.state == OrderState.PENDING,
                ORDERS.c.run_after <= now,
                ORDERS.c.select_tag.in_(list(kernel.handlers)),
            )
            .order_by(ORDERS.c.run_after)
            .limit(1)
        )
    return 0.0 if oldest is None else (now - oldest).total_seconds()


def _rescue(kernel: Kernel, swept: Swept) -> None:
    """Take orders from workers that stopped renewing their leases."""
    now = kernel.clock.now()
    with kernel.reading() as session:
        rows = session.execute(
            select(*HELD, ORDERS.c.crashes, ORDERS.c.connection_id)
            .where(ORDERS.c.state == OrderState.RUNNING, ORDERS.c.lease_until < now)
            .order_by(ORDERS.c.lease_until)
            .limit(RESCUES)
        ).all()
    for row in rows:
        held, crashes, connection_id = HeldOrder(*row[: len(HELD)]), row[-2], row[-1]
        with kernel.transaction() as session:
            rescued = _take_over(kernel, session, held, crashes + 1, now)
        if rescued is None:
            continue
        kernel.metrics.count(RESCUED)
        log.warning("order rescued", extra={"order_id": held.id, "run": held.run})
        if isinstance(rescued, Outcome):
            swept.failed[held.id] = rescued
        else:
            swept.rescued.append(held.id)
        _kill_connection(kernel, connection_id)


def _take_over(
    kernel: Kernel, session: Session, held: HeldOrder, crashes: int, now: datetime
) -> Outcome | OrderState | None:
    """Return the order to pending, or fail it after too many crashes; None if its owner lives."""
    taken = session.execute(
        update(ORDERS)
        .where(FENCE, ORDERS.c.lease_until < now)
        .values(
            state=OrderState.PENDING,
            run_after=now,
            crashes=crashes,
            lease_until=None,
            connection_id=None,
        ),
        held.fenced(),
    )
    if rowcount(taken) != 1:
        return None
    handler = kernel.handlers.get(held.select_tag)
    if handler is None or crashes < handler.max_runs:
        return OrderState.PENDING
    outcome = _failure(kernel, "worker_lost")
    kernel.finish(session, held._replace(state=OrderState.PENDING), outcome)
    return outcome


def _failure(kernel: Kernel, code: str) -> Outcome:
    return Outcome(OrderState.FAILED, message(code, kernel.settings.language), error_code=code)


def _kill_connection(kernel: Kernel, connection_id: int | None) -> None:
    """Drop a dead run's connection: a frozen worker still holds its row locks."""
    if connection_id is None or kernel.engine.dialect.name == "sqlite":
        return
    try:
        with kernel.transaction() as session:
            session.execute(text(f"KILL CONNECTION {int(connection_id)}"))
    except DBAPIError as error:  # gone already, which is what we want
        log.debug("connection %s not killed: %s", connection_id, error.orig)


def note_tags(kernel: Kernel) -> None:
    """Note that a worker knows the tags of this process; only one that runs handlers does."""
    now = kernel.clock.now()
    with kernel.reading() as session:
        seen = dict(session.execute(select(SelectTag.tag, SelectTag.seen_at)).all())
    stale = [
        tag for tag in kernel.handlers if tag not in seen or seen[tag] < now - UNKNOWN_AFTER / 6
    ]
    for tag in stale:
        try:
            with kernel.transaction() as session:
                statement = update(SelectTag).where(SelectTag.tag == tag).values(seen_at=now)
                if rowcount(session.execute(statement)) == 0:
                    session.execute(insert(SelectTag).values(tag=tag, seen_at=now))
        except IntegrityError:  # another dispatcher noted it first
            continue


def _fail_unknown(kernel: Kernel, swept: Swept) -> None:
    """Fail orders whose tag no worker has known for an hour; until then a rollout may be on."""
    limit = kernel.clock.now() - UNKNOWN_AFTER
    with kernel.reading() as session:
        unknown = _unknown_tags(session, kernel.handlers, limit)
        rows = (
            session.execute(
                select(*HELD)
                .where(
                    ORDERS.c.state == OrderState.PENDING,
                    ORDERS.c.select_tag.in_(unknown),
                    ORDERS.c.id < first_id(limit),
                    ORDERS.c.run_after < limit,
                )
                .limit(RESCUES)
            ).all()
            if unknown
            else []
        )
    for held in [HeldOrder(*row) for row in rows]:
        with kernel.transaction() as session:
            outcome = _failure(kernel, "unknown_select_tag")
            if kernel.finish(session, held, outcome):
                swept.failed[held.id] = outcome


def _unknown_tags(session: Session, known: Iterable[str], since: datetime) -> list[str]:
    """Return the tags of waiting orders that no worker has known ``since`` then.

    By the kinds there are, not by the orders: the index is jumped through from tag to tag.
    """
    waiting = session.scalars(
        select(ORDERS.c.select_tag)
        .where(ORDERS.c.state == OrderState.PENDING)
        .group_by(ORDERS.c.state, ORDERS.c.select_tag)
    )
    seen = session.scalars(select(SelectTag.tag).where(SelectTag.seen_at >= since))
    return sorted(set(waiting) - set(known) - set(seen))
