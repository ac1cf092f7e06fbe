"""What people ask of processes: to drain a host, to resume it, to terminate a process.

It stands in rows, and each process finds it with its next heartbeat. Nothing goes by the broker.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.db.tables.service import Asked, DrainedHost, Worker
from kernel.db.transactions import rowcount
from kernel.errors import Conflict, NotFound
from kernel.runtime.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Drained:
    """A host that takes nothing new; ``why`` is None where no reason was given."""

    host: str
    since: datetime
    by: str
    why: str | None


def drain(kernel: Kernel, host: str, by: By = BY_SYSTEM) -> int:
    """Have no process of ``host`` take an order or a callback, from its next heartbeat on.

    What runs goes on, and processes that start there take nothing either, until `resume`. Returns
    how many processes the host has; none may be a name that is spelt wrong. A host that is drained
    already stays as it is. Raises Conflict for the id of a process: its worker hands it messages.
    """
    try:
        return _drain(kernel, host, by)
    except IntegrityError:  # another person was first: now it is drained already
        return _drain(kernel, host, by)


def _drain(kernel: Kernel, host: str, by: By) -> int:
    now = kernel.clock.sql()
    with kernel.write_session() as session:
        if (process := _process(session, host)) is not None:
            raise Conflict(f"a process is drained with its host: {process.host}")
        if session.get(DrainedHost, host) is None:
            session.add(DrainedHost(host=host, since=now, by_whom=by.who, why=by.why))
            by.record(session, "workers.drain", f"host {host}")
            session.flush()
        there = update(Worker).where(Worker.host == host)
        session.execute(there.where(Worker.asked.is_(None)).values(asked=Asked.DRAIN, asked_at=now))
        return _count(session, host)


def resume(kernel: Kernel, host: str, by: By = BY_SYSTEM) -> int:
    """Have the processes of a drained host take work again; return how many it has.

    Raises NotFound when the host is not drained.
    """
    with kernel.write_session() as session:
        ended = rowcount(session.execute(delete(DrainedHost).where(DrainedHost.host == host)))
        drained = (Worker.host == host, Worker.asked == Asked.DRAIN)
        free = update(Worker).where(*drained).values(asked=None, asked_at=None)
        if not (rowcount(session.execute(free)) or ended):
            raise NotFound("that host is not drained")
        by.record(session, "workers.resume", f"host {host}")
        return _count(session, host)


def terminate(kernel: Kernel, process_id: str, by: By = BY_SYSTEM) -> str:
    """Have a process hand back what it runs and end, with its next heartbeat; return its name.

    Each of its orders counts one more crash, as if the process had died: one that hangs again and
    again ends as failed, and one whose cancel was noted as cancelled. Raises NotFound for an id
    that no process has, and Conflict for one that does not obey.
    """
    with kernel.write_session() as session:
        found = _process(session, process_id)
        if found is None:
            raise NotFound("no such process")
        if found.kind != "worker":
            raise Conflict("it runs no orders: stop it as you have started it")
        if found.version is None:
            raise Conflict("it is of an older release, which obeys its supervisor alone")
        asked = {"asked": Asked.TERMINATE, "asked_at": kernel.clock.sql()}
        session.execute(update(Worker).where(Worker.id == process_id).values(asked))
        by.record(session, "workers.terminate", f"process {found.host}:{found.pid}")
        return f"{found.host}:{found.pid}"


def drained_hosts(session: Session) -> list[Drained]:
    """Return the hosts that are drained, the longest first."""
    found = session.scalars(select(DrainedHost).order_by(DrainedHost.since, DrainedHost.host))
    return [Drained(one.host, one.since, one.by_whom, one.why) for one in found]


def process_ids(session: Session, name: str) -> list[str]:
    """Return the ids of the workers' processes that ``name`` means: an id, or a host.

    Raises NotFound when there is none.
    """
    one = _process(session, name)
    named = Worker.host == name if one is None else Worker.id == one.id
    asked = select(Worker.id).where(named, Worker.kind == "worker").order_by(Worker.id)
    found = list(session.scalars(asked))
    if not found:
        raise NotFound("no worker's process has this id, nor runs on a host of this name")
    return found


def _process(session: Session, process_id: str) -> Worker | None:
    return session.scalar(select(Worker).where(Worker.id == process_id))


def _count(session: Session, host: str) -> int:
    return session.scalar(select(func.count()).where(Worker.host == host)) or 0
