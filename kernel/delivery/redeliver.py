"""What people do with deliveries: look at them, redeliver one, replay many.

A redelivery keeps its webhook-id and its bytes and starts a fresh schedule. Nothing here waits
for a receiver: it only changes what is due.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.orm import Session

from kernel.db.ids import ID, first_id
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES, Attempt, Delivery
from kernel.db.transactions import rowcount
from kernel.errors import NotFound
from kernel.runtime.kernel import Kernel

# How many deliveries one commit of a replay makes due.
BATCH = 500
# How many rows one query of a replay looks at, to find deliveries that fit its filter.
LOOKED_AT = 5000
Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries; None means any. Times are those of the outcome they were made for."""

    caller_id: int | None = None
    state: DeliveryState | None = None
    host: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter as SQL conditions; ids are made with the time, so they are ranged."""
        found = self.bounds()
        if self.state is not None:
            found.append(DELIVERIES.c.state == self.state)
        if self.host is not None:
            found.append(_at_host(self.host))
        return found

    def bounds(self) -> list[ColumnElement[bool]]:
        """Return the conditions that an index on ids, or on callers and ids, answers by itself."""
        found = []
        if self.caller_id is not None:
            found.append(DELIVERIES.c.caller_id == self.caller_id)
        if self.since is not None:
            found.append(DELIVERIES.c.id >= first_id(self.since))
        if self.until is not None:
            found.append(DELIVERIES.c.id < first_id(self.until))
        return found


def _at_host(host: str) -> ColumnElement[bool]:
    """Match origins by host name, with any port or with the one given."""
    exact: ColumnElement[bool] = DELIVERIES.c.origin.endswith("://" + host, autoescape=True)
    return or_(exact, DELIVERIES.c.origin.contains(f"://{host}:", autoescape=True))


def get_delivery(session: Session, caller_id: int | None, delivery_id: str) -> Delivery:
    """Return the caller's delivery (any caller's when ``caller_id`` is None).

    Raises NotFound for an unknown id and for another caller's, alike.
    """
    delivery = session.get(Delivery, delivery_id) if ID.fullmatch(delivery_id) else None
    if delivery is None or caller_id not in (None, delivery.caller_id):
        raise NotFound
    return delivery


def list_deliveries(session: Session, order_id: str) -> list[Delivery]:
    """Return the order's deliveries."""
    query = select(Delivery).where(Delivery.order_id == order_id).order_by(Delivery.id)
    return list(session.scalars(query))


def list_attempts(session: Session, delivery_ids: list[str]) -> dict[str, list[Attempt]]:
    """Return the attempts of each of these deliveries, in order."""
    found: dict[str, list[Attempt]] = {one: [] for one in delivery_ids}
    query = select(Attempt).where(Attempt.delivery_id.in_(delivery_ids)).order_by(Attempt.id)
    for attempt in session.scalars(query):
        found[attempt.delivery_id].append(attempt)
    return found


def redeliver(kernel: Kernel, caller_id: int | None, delivery_id: str) -> bool:
    """Make a delivery due now; False, changing nothing, while an attempt is in flight.

    Raises NotFound.
    """
    with kernel.write_session() as session:
        get_delivery(session, caller_id, delivery_id)
        return make_due(kernel, session, [delivery_id]) == 1


def count(session: Session, wanted: DeliveryFilter) -> int:
    """Return how many deliveries a replay of ``wanted`` would send again."""
    query = select(func.count()).select_from(DELIVERIES)
    return session.scalar(query.where(*_replayable(wanted))) or 0


def replay(
    kernel: Kernel, wanted: DeliveryFilter, told: Told = lambda _: None, batch: int = BATCH
) -> int:
    """Make every delivery of ``wanted`` that is over due again, ``batch`` in one commit.

    Returns how many; ``told`` is called with the running count after each batch. A replay reads
    the deliveries once, in the order of ids, so it ends even if they are over again at once.
    """
    done, place = 0, replay_from(kernel)
    while place.after is not None:
        made, place = replay_step(kernel, wanted, place, batch)
        done += made
        if made:
            told(done)
    return done


class Place(NamedTuple):
    """Which ids a replay has still to read: above ``after``, below ``until``.

    ``after`` is None when there are no more.
    """

    after: str | None
    until: str


def replay_from(kernel: Kernel) -> Place:
    """Return where a replay begins that leaves out deliveries made from now on."""
    return Place("", first_id(kernel.clock.now() + timedelta(milliseconds=1)))


def replay_step(
    kernel: Kernel,
    wanted: DeliveryFilter,
    place: Place,
    batch: int = BATCH,
    looked_at: int = LOOKED_AT,
) -> tuple[int, Place]:
    """Make up to ``batch`` deliveries due; return how many, and where to go on.

    Looks at ``looked_at`` rows at the most, so a step may find none and not be the last.
    """
    near = select(DELIVERIES.c.id).where(*wanted.bounds(), DELIVERIES.c.id < place.until)
    near = near.where(DELIVERIES.c.id > (place.after or "")).order_by(DELIVERIES.c.id)
    window = near.limit(looked_at).subquery()
    page: Select[Any] = (
        select(DELIVERIES.c.id)
        .join(window, window.c.id == DELIVERIES.c.id)
        .where(*_replayable(wanted))
        .order_by(window.c.id)
        .limit(batch)
    )
    with kernel.read_session() as session:
        ids = list(session.scalars(page))
        full = len(ids) == batch
        after = ids[-1] if full else session.scalar(near.offset(looked_at - 1).limit(1))
    if not ids:
        return 0, Place(after, place.until)
    with kernel.write_session() as session:
        return make_due(kernel, session, ids), Place(after, place.until)


def _replayable(wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    """Delivered and dead ones fit: pending ones are sent anyway, and held ones are resumed."""
    over = DELIVERIES.c.state.in_([DeliveryState.DELIVERED, DeliveryState.DEAD])
    return [over, *wanted.conditions()]


def make_due(kernel: Kernel, session: Session, ids: list[str]) -> int:
    """Make deliveries due now with a fresh schedule; return how many.

    Those with an attempt in flight are left alone.
    """
    now = kernel.clock.now()
    changed = session.execute(
        update(DELIVERIES)
        .where(DELIVERIES.c.id.in_(ids), DELIVERIES.c.claim_token.is_(None))
        .values(
            state=DeliveryState.PENDING,
            next_attempt_at=now,
            created_at=now,
            tries=0,
            client_errors=0,
            is_retry=False,
            finished_at=None,
            died_of=None,
        )
    )
    return rowcount(changed)
