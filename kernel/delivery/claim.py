"""T4: claim due deliveries in batches.

A claim moves ``next_attempt_at`` past the end of the attempt, so the deliveries of a process that
dies are due again by themselves and need no rescue.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CompoundSelect, func, select, union_all, update

from kernel.callers.profile import CallbackProfile, profiles_of
from kernel.db.ids import new_id
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE, OutboxRow
from kernel.db.tables.orders import ORDERS
from kernel.delivery.lanes import Lane
from kernel.delivery.pauses import Pauses, paused
from kernel.runtime.kernel import Kernel

# Beyond the callback's own timeout: waiting for a sender thread and writing the result.
LEASE_MARGIN_SECONDS = 30.0


def claim_end(kernel: Kernel, now: datetime) -> datetime:
    """Return when a claim that is made ``now`` runs out."""
    return now + timedelta(seconds=kernel.settings.callback_timeout + LEASE_MARGIN_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery(OutboxRow):
    """A claimed delivery, with everything that its attempt needs; `attempt` takes nothing else.

    ``token`` is the fence: without it `record` changes no delivery.
    """

    token: str
    profile: CallbackProfile


@dataclass(frozen=True, slots=True)
class ClaimedDeliveries:
    """The result of T4: the deliveries that were claimed, and how many were seen due per origin.

    Deliveries that were seen and not claimed were claimed by another dispatcher meanwhile.
    """

    deliveries: Sequence[DueDelivery] = ()
    seen: Counter[str] = field(default_factory=Counter)


# How many deliveries a dispatcher claims at once, over all lanes.
BATCH = 50


def due_lanes(kernel: Kernel) -> list[Lane]:
    """Return the lanes in which a delivery is due and which no pause holds.

    Found by a skip scan, so the cost does not depend on how many deliveries wait in a lane.
    """
    now = kernel.clock.now()
    with kernel.read() as connection:
        found = connection.execute(_LANES).all()
        due = [Lane(*lane) for _, *lane, first in found if first <= now]
        pauses = paused(connection) if due else Pauses()
    return [one for one in due if not pauses.hold(one.caller_id, one.origin)]


_LANES = skip_scan(STATE_AND_LANE, func.min(DELIVERIES.c.next_attempt_at)).where(
    DELIVERIES.c.state == DeliveryState.PENDING
)


def claim_due(kernel: Kernel, shares: Mapping[Lane, int], ahead: int = 1) -> ClaimedDeliveries:
    """T4: claim up to ``shares[lane]`` due deliveries from each lane, those due longest first.

    Two claims never return the same attempt. ``ahead``=n skips the first n-1 batches of each lane,
    as far as it is long enough, so that concurrent dispatchers claim different rows. One statement
    reads all lanes: pass a few hundred at the most.
    """
    if not shares:
        return ClaimedDeliveries()
    now = kernel.clock.now()
    due: dict[Lane, list[str]] = defaultdict(list)
    with kernel.read() as connection:
        for delivery_id, *where in connection.execute(_first_due(shares, ahead, now)):
            due[Lane(*where)].append(delivery_id)
        profiles = profiles_of(connection, {lane.caller_id for lane in shares}, now)
    if not due:
        return ClaimedDeliveries()
    last = {lane: found[-shares[lane] :] for lane, found in due.items()}
    ids = [delivery_id for found in last.values() for delivery_id in found]
    token = new_id(now)
    # Short, because a dispatcher that claims the same rows waits for it.
    with kernel.write() as connection:
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
                is_retry=True,
                next_attempt_at=claim_end(kernel, now),
            )
        )
        rows = connection.execute(
            select(*_COLUMNS)
            .join(ORDERS, ORDERS.c.id == DELIVERIES.c.order_id)
            .where(DELIVERIES.c.id.in_(ids), DELIVERIES.c.claim_token == token)
        ).all()
    ours = [
        DueDelivery(**row._mapping, token=token, profile=profiles[row.caller_id]) for row in rows
    ]
    return ClaimedDeliveries(
        ours, Counter(lane.origin for lane, found in last.items() for _ in found)
    )


_COLUMNS = (
    *(DELIVERIES.c[field.name] for field in fields(DueDelivery) if field.name in DELIVERIES.c),
    *(ORDERS.c.request_id, ORDERS.c.traceparent),
)


def _first_due(shares: Mapping[Lane, int], ahead: int, now: datetime) -> CompoundSelect[Any]:
    """Select ids and lanes of the deliveries that are due longest in each lane."""
    lanes = (
        select(DELIVERIES.c.id, *STATE_AND_LANE[1:])
        .where(
            DELIVERIES.c.state == DeliveryState.PENDING,
            DELIVERIES.c.is_retry == lane.is_retry,
            DELIVERIES.c.caller_id == lane.caller_id,
            DELIVERIES.c.origin == lane.origin,
            DELIVERIES.c.next_attempt_at <= now,
        )
        .order_by(DELIVERIES.c.next_attempt_at)
        .limit(count * ahead)
        for lane, count in shares.items()
    )
    return union_all(*(select(lane.subquery()) for lane in lanes))
