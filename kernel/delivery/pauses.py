"""Callbacks that a pause holds: which they are, how they are marked, and how they are let go.

What is paused, by whom and until when, is `kernel.pauses`' to say.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update
from sqlalchemy.orm import Session

from kernel.callers.matching import NAMED
from kernel.callers.profile import CallbackProfile
from kernel.callers.receivers import receivers_of
from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES, STATE_AND_LANE
from kernel.db.tables.operating.pauses import PAUSES
from kernel.db.tables.receivers import RECEIVERS
from kernel.db.transactions import rowcount
from kernel.delivery.redeliver import make_due
from kernel.formats.hosts import hosts_of
from kernel.runtime.kernel import Kernel

# Deliveries that one commit holds or lets go.
BATCH = 500
# What each callback of a lane is chosen by, where not all of them are alike; None: all are.
Chooses = Callable[[str], bool] | None


@dataclass(frozen=True, slots=True)
class Pauses:
    """What people have paused: hosts, callers, and receivers.

    ``places``: each caller and origin where callbacks of a paused receiver may be, and others.
    """

    hosts: frozenset[str] = frozenset()
    callers: frozenset[int] = frozenset()
    places: frozenset[tuple[int, str]] = frozenset()

    def hold(self, caller_id: int, origin: str) -> bool:
        """Tell whether nothing of this caller may go to ``origin``."""
        return caller_id in self.callers or bool(self.hosts & hosts_of(origin))


def paused(connection: Connection) -> Pauses:
    """Return what is paused now."""
    rows = connection.execute(_PAUSES).all()
    ids = [row.receiver_id for row in rows if row.receiver_id is not None]
    # What was owed before there was a receiver of that name queues up by its name.
    receivers = connection.execute(_PLACES.where(RECEIVERS.c.id.in_(ids))) if ids else ()
    places = {
        (row.caller_id, place) for row in receivers for place in (row.origin, f"{NAMED}{row.name}")
    }
    return Pauses(
        frozenset(row.host for row in rows if row.host is not None),
        frozenset(row.caller_id for row in rows if row.caller_id is not None),
        frozenset(places),
    )


_PAUSES = select(PAUSES.c.host, PAUSES.c.caller_id, PAUSES.c.receiver_id)
_PLACES = select(RECEIVERS.c.caller_id, RECEIVERS.c.origin, RECEIVERS.c.name)


def is_known_host(session: Session, host: str) -> bool:
    """Tell whether a callback was ever owed to a host, as `read_host` returns it, or a receiver is
    there. Reads an index by jumps: a row for each state, caller and origin."""
    lanes = session.execute(skip_scan(STATE_AND_LANE)).all()
    known = {lane.origin for lane in lanes} | set(session.scalars(_RECEIVERS))
    return any(host in hosts_of(origin) for origin in known)


_RECEIVERS = select(RECEIVERS.c.origin).distinct()


def hold_paused(kernel: Kernel) -> int:
    """Mark pending callbacks that a pause holds as held; return how many."""
    with kernel.read_session() as session:
        pauses = paused(session.connection())
        profiles = _profiles(session.connection(), pauses)
    if pauses == Pauses():
        return 0

    def held(caller_id: int, origin: str) -> Chooses | bool:
        if pauses.hold(caller_id, origin):
            return True
        return profiles[caller_id].is_paused if (caller_id, origin) in pauses.places else False

    done, idle = 0, DELIVERIES.c.claim_token.is_(None)
    for lane, chooses in _lanes(kernel, DeliveryState.PENDING, held):
        for ids in _batches(kernel, [*lane, idle], chooses):
            with kernel.write_session() as session:
                hold = update(DELIVERIES).where(DELIVERIES.c.id.in_(ids), *lane, idle)
                done += rowcount(session.execute(hold.values(state=DeliveryState.HELD)))
    return done


def release_unpaused(kernel: Kernel) -> int:
    """Make held callbacks due that no pause holds; return how many.

    Those of a pause that has just ended. Also those that a sweep marked as held while their pause
    was ended, or that the process which ended it has not come to.
    """
    with kernel.read_session() as session:
        pauses = paused(session.connection())
        profiles = _profiles(session.connection(), pauses)

    def let_go(caller_id: int, origin: str) -> Chooses | bool:
        if pauses.hold(caller_id, origin):
            return False
        if (caller_id, origin) not in pauses.places:
            return True
        return lambda url: not profiles[caller_id].is_paused(url)

    done, held = 0, DELIVERIES.c.state == DeliveryState.HELD
    for lane, chooses in _lanes(kernel, DeliveryState.HELD, let_go):
        for ids in _batches(kernel, lane, chooses):
            with kernel.write_session() as session:
                # Another resume may have let them go meanwhile: they may be delivered by now.
                done += make_due(kernel, session, ids, where=held)
    return done


def _profiles(connection: Connection, pauses: Pauses) -> dict[int, CallbackProfile]:
    """Return how the callers of paused receivers tell their receivers apart."""
    owners = {caller_id for caller_id, _ in pauses.places}
    found = receivers_of(connection, owners) if owners else {}
    return {one: CallbackProfile(receivers=receivers) for one, receivers in found.items()}


_Lane = list[ColumnElement[bool]]


def _lanes(
    kernel: Kernel, state: DeliveryState, fits: Callable[[int, str], Chooses | bool]
) -> Iterable[tuple[_Lane, Chooses]]:
    """Return the conditions of each lane of that state that ``fits``, and what chooses there.

    ``fits`` is given caller and origin: True for all callbacks of the lane, False for none.
    """
    with kernel.read_session() as session:
        scan = skip_scan(STATE_AND_LANE).where(DELIVERIES.c.state == state)
        found = session.execute(scan).all()
    for row in found:
        fit = fits(row.caller_id, row.origin)
        if fit is False:
            continue
        lane = [column == value for column, value in zip(STATE_AND_LANE, row, strict=True)]
        yield lane, None if fit is True else fit


def _batches(kernel: Kernel, lane: Sequence[Any], chooses: Chooses) -> Iterator[list[str]]:
    """Yield ids of a lane, those that ``chooses`` accepts by their URLs, `BATCH` rows at a time.

    Without it each batch has left the lane before the next is asked for.
    """
    at, id_ = DELIVERIES.c.next_attempt_at, DELIVERIES.c.id
    asked = select(id_, DELIVERIES.c.url, at).where(*lane).order_by(at, id_).limit(BATCH)
    after: ColumnElement[bool] | None = None
    while True:
        with kernel.read_session() as session:
            rows = session.execute(asked if after is None else asked.where(after)).all()
        if found := [row.id for row in rows if chooses is None or chooses(row.url)]:
            yield found
        if not rows or (chooses is not None and len(rows) < BATCH):
            return
        if chooses is not None:
            last = rows[-1]
            after = or_(at > last.next_attempt_at, and_(at == last.next_attempt_at, id_ > last.id))
