"""Pauses of hosts and callers: hold deliveries, let them go again."""

from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.db.statements.skip_scan import skip_scan
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import DELIVERIES, PAUSES, STATE_AND_LANE, Pause
from kernel.db.transactions import rowcount
from kernel.delivery.redeliver import BATCH, make_due
from kernel.errors import NotFound
from kernel.runtime.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Pauses:
    """What people have paused: hosts, and callers."""

    hosts: frozenset[str] = frozenset()
    callers: frozenset[int] = frozenset()

    def hold(self, caller_id: int, origin: str) -> bool:
        """Tell whether nothing of this caller may go to ``origin``."""
        return caller_id in self.callers or bool(self.hosts & hosts_of(origin))


def hosts_of(origin: str) -> set[str]:
    """Return what a person may call the host of an origin: its name, and name:port."""
    authority = origin.partition("://")[2]
    return {authority, authority.rpartition(":")[0]}


def paused(connection: Connection) -> Pauses:
    """Return what is paused now."""
    rows = connection.execute(_PAUSES).all()
    hosts = frozenset(row.host for row in rows if row.host is not None)
    return Pauses(hosts, frozenset(row.caller_id for row in rows if row.caller_id is not None))


_PAUSES = select(PAUSES.c.host, PAUSES.c.caller_id)


def pause(kernel: Kernel, *, host: str | None = None, caller_id: int | None = None) -> int:
    """Send nothing to ``host`` (a name, or name:port) or for a caller, from now on.

    Returns how many deliveries were marked as held at once; the sweep marks later ones. A pause
    that is in force already stays as it is. Attempts in flight go on.
    """
    row = {"host": host, "caller_id": caller_id, "created_at": kernel.clock.now()}
    with suppress(IntegrityError), kernel.write_session() as session:
        session.execute(insert(Pause).values(**row))
    return hold_paused(kernel)


def resume(kernel: Kernel, *, host: str | None = None, caller_id: int | None = None) -> int:
    """End a pause; return how many deliveries it held: they are due now, with a fresh schedule.

    Raises NotFound when there is no such pause.
    """
    with kernel.write_session() as session:
        removed = session.execute(
            delete(Pause).where(Pause.host == host if host else Pause.caller_id == caller_id)
        )
    if rowcount(removed) == 0:
        raise NotFound("that is not paused")
    done = 0
    resumed = Pauses(frozenset(filter(None, [host])), frozenset(filter(None, [caller_id])))
    for lane in _lanes(kernel, DeliveryState.HELD, resumed):
        while ids := _batch(kernel, *lane):
            with kernel.write_session() as session:
                done += make_due(kernel, session, ids)
    hold_paused(kernel)  # those that another pause holds too
    return done


def list_pauses(session: Session) -> list[Pause]:
    """Return every pause in force, the oldest first."""
    return list(session.scalars(select(Pause).order_by(Pause.id)))


def hold_paused(kernel: Kernel) -> int:
    """Mark pending deliveries of paused hosts and callers as held; return how many."""
    with kernel.read_session() as session:
        pauses = paused(session.connection())
    if pauses == Pauses():
        return 0
    done, idle = 0, DELIVERIES.c.claim_token.is_(None)
    for lane in _lanes(kernel, DeliveryState.PENDING, pauses):
        while ids := _batch(kernel, *lane, idle):
            with kernel.write_session() as session:
                held = update(DELIVERIES).where(DELIVERIES.c.id.in_(ids), *lane, idle)
                done += rowcount(session.execute(held.values(state=DeliveryState.HELD)))
    return done


def _lanes(kernel: Kernel, state: DeliveryState, pauses: Pauses) -> list[list[ColumnElement[bool]]]:
    """Return the conditions of each lane of that state which these pauses hold."""
    with kernel.read_session() as session:
        scan = skip_scan(STATE_AND_LANE).where(DELIVERIES.c.state == state)
        found = session.execute(scan).all()
    return [
        [column == value for column, value in zip(STATE_AND_LANE, row, strict=True)]
        for row in found
        if pauses.hold(row.caller_id, row.origin)
    ]


def _batch(kernel: Kernel, *conditions: ColumnElement[bool]) -> list[str]:
    with kernel.read_session() as session:
        return list(session.scalars(select(DELIVERIES.c.id).where(*conditions).limit(BATCH)))
