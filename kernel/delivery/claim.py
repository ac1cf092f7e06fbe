"""T4: claim due deliveries in batches.

A claim moves ``next_attempt_at`` past the end of the attempt, so the deliveries of a process that
dies are due again by themselves. On its own host `kernel.delivery.release` makes them due at once.
One that no process has ever claimed is due at once, without a look at the clock: only an attempt
puts a delivery off.
"""

import secrets
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cache
from time import monotonic
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Integer,
    bindparam,
    func,
    or_,
    select,
    true,
    union_all,
    update,
)

from kernel.callers.profile import CallbackProfile, profiles_of
from kernel.callers.terms import MAX_TIMEOUT
from kernel.db.clock import database_time
from kernel.db.statements.prepared import Prepared
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE, OutboxRow
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import rowcount
from kernel.delivery.breakers import Target
from kernel.delivery.lanes import Lane
from kernel.delivery.pauses import Pauses, paused
from kernel.runtime.kernel import Kernel

# Beyond the callback's own timeout: waiting for a sender thread and writing the result.
LEASE_MARGIN_SECONDS = 30.0


def claim_length(kernel: Kernel) -> timedelta:
    """Return how long a claim lasts."""
    return timedelta(seconds=kernel.settings.callback_timeout + LEASE_MARGIN_SECONDS)


def longest_claim(kernel: Kernel) -> timedelta:
    """Return how long a claim lasts at the most: for a receiver with the longest timeout.

    Its attempt may have two requests, a lookup and the callback; see `extend_claim`.
    """
    return max(claim_length(kernel), timedelta(seconds=2 * MAX_TIMEOUT + LEASE_MARGIN_SECONDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery(OutboxRow):
    """A claimed delivery, with everything that its attempt needs; `attempt` takes nothing else.

    ``token`` is the fence: without it `record` changes no delivery.
    """

    token: str
    profile: CallbackProfile

    @property
    def target(self) -> Target:
        """What its attempt shares slots and a breaker with."""
        return Target(self.caller_id, self.origin)


@dataclass(frozen=True, slots=True)
class ClaimedDeliveries:
    """The result of T4: the deliveries that were claimed, and how many were seen due per target.

    Deliveries that were seen and not claimed were claimed by another dispatcher meanwhile.
    """

    deliveries: Sequence[DueDelivery] = ()
    seen: Counter[Target] = field(default_factory=Counter)


# How many deliveries a dispatcher claims at once, over all lanes.
BATCH = 50


def due_lanes(kernel: Kernel) -> list[Lane]:
    """Return the lanes in which a delivery is due and which no pause holds.

    Found by a skip scan, so the cost does not depend on how many deliveries wait in a lane.
    """
    with kernel.read() as connection:
        sent = monotonic()
        found = _LANES.rows(connection, {"now": kernel.clock.offset()})
        if found:
            kernel.clock.heard(found[0][-1], sent)
        due = [
            Lane(is_retry, caller_id, origin)
            for _, is_retry, caller_id, origin, first, now in found
            if not is_retry or first <= now
        ]
        pauses = paused(connection) if due else Pauses()
    return [one for one in due if not pauses.hold(one.caller_id, one.origin)]


_LANES = Prepared(
    skip_scan(
        STATE_AND_LANE,
        func.min(DELIVERIES.c.next_attempt_at).label("first"),
        database_time("now").label("now"),
    ).where(DELIVERIES.c.state == DeliveryState.PENDING)
)


def claim_due(
    kernel: Kernel, shares: Mapping[Lane, int], ahead: int = 1, patience: float = 0.0
) -> ClaimedDeliveries:
    """T4: claim up to ``shares[lane]`` due deliveries from each lane, those due longest first.

    Two claims never return the same attempt. ``ahead``=n skips the first n-1 batches of each lane,
    as far as it is long enough, so that concurrent dispatchers claim different rows. One statement
    reads all lanes: pass a few hundred at the most. Claims that have run out are taken over once
    the database's clock was steady for ``patience`` seconds: set forward, it ends them all while
    their attempts go on.
    """
    if not shares:
        return ClaimedDeliveries()
    with kernel.read() as connection:
        due = _due(kernel, connection, shares, ahead, patience)
        profiles = profiles_of(connection, {lane.caller_id for lane in shares}, kernel.clock.now())
    if not due:
        return ClaimedDeliveries()
    last = {lane: found[-shares[lane] :] for lane, found in due.items()}
    ids = [delivery_id for found in last.values() for delivery_id in found]
    seen = Counter(lane.target for lane, found in last.items() for _ in found)
    return ClaimedDeliveries(_claim(kernel, ids, profiles), seen)


def _claim(
    kernel: Kernel, ids: Sequence[str], profiles: Mapping[int, CallbackProfile]
) -> list[DueDelivery]:
    """Claim those of these deliveries that are due still; those of paused receivers are held."""
    token, now = _new_token(kernel.runner), kernel.clock.sql()
    # Short, because a dispatcher that claims the same rows waits for it.
    with kernel.write() as connection:
        connection.execute(
            update(DELIVERIES)
            .where(
                DELIVERIES.c.id.in_(ids),
                DELIVERIES.c.state == DeliveryState.PENDING,
                or_(DELIVERIES.c.is_retry.is_(False), DELIVERIES.c.next_attempt_at <= now),
            )
            .values(
                claim_token=token,
                attempt=DELIVERIES.c.attempt + 1,
                tries=DELIVERIES.c.tries + 1,
                is_retry=True,
                next_attempt_at=kernel.clock.sql(claim_length(kernel)),
            )
        )
        rows = connection.execute(
            select(*_COLUMNS)
            .join(ORDERS, ORDERS.c.id == DELIVERIES.c.order_id)
            .where(DELIVERIES.c.id.in_(ids), DELIVERIES.c.claim_token == token)
        ).all()
        held = {row.id for row in rows if profiles[row.caller_id].is_paused(row.url)}
        if held:
            _hold(kernel, connection, held, token)
    return [
        DueDelivery(**row._mapping, token=token, profile=profiles[row.caller_id])
        for row in rows
        if row.id not in held
    ]


def _hold(kernel: Kernel, connection: Connection, ids: Collection[str], token: str) -> None:
    """Mark what was claimed of a paused receiver as held, as if it had not been claimed.

    A lane has callbacks of all receivers at its origin: which are whose is told by their URLs.
    """
    connection.execute(
        update(DELIVERIES)
        .where(DELIVERIES.c.id.in_(ids), DELIVERIES.c.claim_token == token)
        .values(
            state=DeliveryState.HELD,
            claim_token=None,
            attempt=DELIVERIES.c.attempt - 1,
            tries=DELIVERIES.c.tries - 1,
            next_attempt_at=kernel.clock.sql(),
        )
    )


def extend_claim(kernel: Kernel, due: DueDelivery, seconds: float) -> bool:
    """Have a claim outlast an attempt of ``seconds``; False when it is lost.

    For receivers with a timeout longer than the setting's, which `claim_length` goes by.
    """
    lasts = timedelta(seconds=seconds + LEASE_MARGIN_SECONDS)
    with kernel.write_one() as connection:
        extended = connection.execute(
            update(DELIVERIES)
            .where(DELIVERIES.c.id == due.id, DELIVERIES.c.claim_token == due.token)
            .values(next_attempt_at=kernel.clock.sql(lasts))
        )
    return rowcount(extended) == 1


def _new_token(runner: str) -> str:
    """Make the token of one claim: no two claims of a delivery by one process have the same."""
    return f"{runner}-{secrets.token_hex(4)}"


_COLUMNS = (
    *(DELIVERIES.c[field.name] for field in fields(DueDelivery) if field.name in DELIVERIES.c),
    *(ORDERS.c.request_id, ORDERS.c.traceparent, ORDERS.c.reference),
)


def _due(
    kernel: Kernel, connection: Connection, shares: Mapping[Lane, int], ahead: int, patience: float
) -> dict[Lane, list[str]]:
    """Return the ids of what is due in each lane and may be claimed."""
    statement, asked = _first_due_in(shares, ahead)
    sent, due = monotonic(), defaultdict(list)
    found = connection.execute(statement, asked | {"now": kernel.clock.offset()}).all()
    if found:
        kernel.clock.heard(found[0].now, sent)
    takes_over = patience <= 0 or kernel.clock.is_steady_for(patience)
    for row in found:
        if takes_over or row.claim_token is None:
            due[Lane(row.is_retry, row.caller_id, row.origin)].append(row.id)
    return due


def _first_due_in(
    shares: Mapping[Lane, int], ahead: int
) -> tuple[CompoundSelect[Any], dict[str, Any]]:
    """Return the SELECT of what is due longest in these lanes, and its values but for the time.

    It has places for more lanes than these, so that there are few such statements: to build and
    compile one for thirty lanes takes longer than the claim. A place that is not used has LIMIT 0.
    """
    kinds = [[lane for lane in shares if lane.is_retry == kind] for kind in (False, True)]
    places = [1 << (len(lanes) - 1).bit_length() if lanes else 0 for lanes in kinds]
    values: dict[str, Any] = {}
    for lanes, free, start in zip(kinds, places, (0, places[0]), strict=True):
        for place in range(free):
            lane = lanes[place] if place < len(lanes) else None
            caller, origin, count = _names(start + place)
            values[caller] = 0 if lane is None else lane.caller_id
            values[origin] = "" if lane is None else lane.origin
            values[count] = 0 if lane is None else shares[lane] * ahead
    return _first_due(*places), values


def _names(place: int) -> tuple[str, str, str]:
    """Return the names of the values of one lane: its caller, its origin, how many to select."""
    return f"caller_{place}", f"origin_{place}", f"count_{place}"


@cache
def _first_due(first: int, retries: int) -> CompoundSelect[Any]:
    """Select ids, lanes and claims of what is due longest in each of that many lanes."""
    now = database_time("now")
    lanes = []
    for place in range(first + retries):
        caller, origin, count = _names(place)
        is_retry = place >= first
        lane = (
            select(DELIVERIES.c.id, *STATE_AND_LANE[1:], DELIVERIES.c.claim_token, now.label("now"))
            .where(
                DELIVERIES.c.state == DeliveryState.PENDING,
                DELIVERIES.c.is_retry == is_retry,
                DELIVERIES.c.caller_id == bindparam(caller),
                DELIVERIES.c.origin == bindparam(origin),
                DELIVERIES.c.next_attempt_at <= now if is_retry else true(),
            )
            .order_by(DELIVERIES.c.next_attempt_at)
            .limit(bindparam(count, type_=Integer))
        )
        lanes.append(select(lane.subquery()))
    return union_all(*lanes)
