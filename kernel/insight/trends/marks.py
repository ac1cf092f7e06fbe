"""What is marked on charts: starts with their version, pauses, and breakers that opened.

Starts are marked by the process that starts, breakers by the one that sweeps; both write only when
something has changed. Pauses are read from the acts of those who made them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.metadata import version
from typing import Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.orm import Session

from kernel.db.tables.audit import ACTS
from kernel.db.tables.callers import Caller
from kernel.db.tables.operating.trends import MARKS
from kernel.db.tables.service import Worker
from kernel.delivery.breakers import ReceiverPath, Target
from kernel.insight.trends.rows import HOUR, KEEP
from kernel.insight.workers import processes, target_of
from kernel.runtime.kernel import Kernel

# A host with a process that has been there for this long has not just been started.
TOGETHER = timedelta(minutes=1)
# The most marks of each kind that are shown, and starts that are looked through.
SHOWN = 100
# The acts that begin and end pauses, and those of workers.
PAUSES = (
    *("deliveries.pause", "deliveries.resume", "orders.pause", "orders.resume"),
    *("workers.drain", "workers.resume", "workers.terminate"),
)


class Sign(StrEnum):
    """What a mark says. The names are in rows: never rename one."""

    START = "start"
    BREAKER = "breaker"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"
    TERMINATE = "terminate"


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark. ``until``: when it ended; None where it goes on, or has no duration.

    ``subject``: version and host, an origin, or what was paused. ``caller``: whose breaker.
    """

    sign: Sign
    at: datetime
    subject: str
    until: datetime | None = None
    caller: str | None = None
    by: str | None = None
    reason: str | None = None

    @property
    def goes_on(self) -> bool:
        """Whether it is a breaker that has not closed."""
        return self.sign is Sign.BREAKER and self.until is None


def note_start(session: Session, host: str, now: datetime) -> bool:
    """Mark that this version has started on ``host``; return whether it was marked.

    Not for a process beside older ones of the same version, which takes the place of another.
    """
    ours = f"{version('kernel-workorders')} on {host}"
    marked = select(MARKS.c.subject).where(MARKS.c.kind == Sign.START)
    newest = session.scalars(marked.order_by(MARKS.c.id.desc()).limit(SHOWN)).all()
    last = next((one for one in newest if one.endswith(f" on {host}")), None)
    here = select(Worker.started_at).where(Worker.host == host, Worker.seen_at >= now - TOGETHER)
    since = session.scalars(here.order_by(Worker.started_at).limit(1)).first()
    if last == ours and since is not None and since < now - TOGETHER:
        return False
    recent = select(MARKS.c.id).where(
        *(MARKS.c.kind == Sign.START, MARKS.c.subject == ours, MARKS.c.began_at >= now - TOGETHER)
    )
    if session.scalar(recent.limit(1)) is not None:
        return False
    session.execute(insert(MARKS).values(kind=Sign.START, subject=ours, began_at=now))
    return True


def note_breakers(kernel: Kernel) -> None:
    """Mark breakers that opened since the last sweep, and the end of those that closed.

    A breaker that probes is not closed yet; one that no living process holds open is.
    """
    living = [one for one in processes(kernel) if one.alive]
    failing = {target for one in living for target in (*one.broken, *one.probing)}
    is_open = (MARKS.c.kind == Sign.BREAKER, MARKS.c.ended_at.is_(None))
    with kernel.read_session() as session:
        known = {row.subject: row.id for row in session.execute(select(MARKS).where(*is_open))}
    opened, closed = failing - known.keys(), known.keys() - failing
    if not opened and not closed:
        return
    now = kernel.clock.now()
    with kernel.write_session() as session:
        if opened:
            rows = [
                {"kind": Sign.BREAKER, "subject": one, "began_at": now} for one in sorted(opened)
            ]
            session.execute(insert(MARKS), rows)
        over = MARKS.c.id.in_([known[one] for one in closed])
        session.execute(update(MARKS).where(over).values(ended_at=now))


def forget(kernel: Kernel) -> None:
    """Delete marks that are older than every chart."""
    limit = kernel.clock.now() - KEEP[HOUR]
    with kernel.read_session() as session:
        oldest = session.scalar(select(MARKS.c.began_at).order_by(MARKS.c.began_at).limit(1))
    if oldest is not None and oldest < limit:
        with kernel.write_session() as session:
            session.execute(delete(MARKS).where(MARKS.c.began_at < limit))


def marks(session: Session, since: datetime) -> list[Marked]:
    """Return what is marked from ``since`` on, the newest first, at most `SHOWN` of a kind.

    Breakers that opened before and were open then are among them.
    """
    recent = select(MARKS).where(MARKS.c.kind == Sign.START, MARKS.c.began_at >= since)
    found = [_mark(row) for row in _newest(session, recent)]
    found += breakers(session, since)
    paused = select(ACTS).where(ACTS.c.verb.in_(PAUSES), ACTS.c.at >= since)
    for act in session.execute(paused.order_by(ACTS.c.id.desc()).limit(SHOWN)):
        sign = Sign(act.verb.rpartition(".")[2])
        found.append(Marked(sign, act.at, act.target, by=act.actor, reason=act.reason))
    return sorted(found, key=lambda one: one.at, reverse=True)


def breakers(
    session: Session, since: datetime, of: Collection[Target | ReceiverPath] = ()
) -> list[Marked]:
    """Return breakers that were open at some time from ``since`` on, the newest first.

    ``of``: those of these alone, if any is named.
    """
    still = or_(MARKS.c.ended_at.is_(None), MARKS.c.ended_at >= since)
    asked = select(MARKS).where(MARKS.c.kind == Sign.BREAKER, still)
    if of:
        asked = asked.where(MARKS.c.subject.in_([str(one) for one in of]))
    rows = _newest(session, asked)
    ids = {target_of(row.subject)[1] for row in rows} - {None}
    named = select(Caller.id, Caller.name).where(Caller.id.in_(ids))
    names = {row.id: row.name for row in session.execute(named)} if ids else {}
    return [_mark(row, names) for row in rows]


def _newest(session: Session, asked: Any) -> Sequence[Any]:
    found: Sequence[Any] = session.execute(asked.order_by(MARKS.c.id.desc()).limit(SHOWN)).all()
    return found


def _mark(row: Any, names: dict[int, str] | None = None) -> Marked:
    if row.kind == Sign.START:
        return Marked(Sign.START, row.began_at, row.subject)
    origin, caller_id = target_of(row.subject)
    caller = None if caller_id is None else (names or {}).get(caller_id)
    return Marked(Sign.BREAKER, row.began_at, origin, row.ended_at, caller)
