"""Which processes are at work: each one with a dispatcher writes its heartbeat into a row."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from kernel.db.ids import new_id
from kernel.db.tables.service import Worker
from kernel.db.transactions import rowcount
from kernel.insight.readiness import MISSED
from kernel.runtime.kernel import Kernel

FORGET_AFTER = timedelta(minutes=10)
# At most as many ids of running orders, and as many origins, stand in a row.
SHOWN = 100


@dataclass(slots=True)
class Heartbeat:
    """The row of one process, from its start to its end. Belongs to the dispatcher's thread.

    ``kind``: worker or dispatcher.
    """

    kind: str
    started_at: datetime
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = new_id(self.started_at)

    def note(
        self,
        session: Session,
        now: datetime,
        running: Iterable[str],
        broken: Iterable[str],
        probing: Iterable[str] = (),
    ) -> None:
        """Write what this process does now. One statement; the first time, two.

        ``running``: ids of orders; ``broken`` and ``probing``: origins whose breaker is open, and
        those whose breaker is half-open.
        """
        values = {
            "seen_at": now,
            "running": " ".join(sorted(running)[:SHOWN]),
            "broken": " ".join(sorted(broken)[:SHOWN]),
            "probing": " ".join(sorted(probing)[:SHOWN]),
        }
        noted = session.execute(update(Worker).where(Worker.id == self.id).values(values))
        if rowcount(noted) == 0:
            session.execute(insert(Worker).values(values | self._fixed()))

    def leave(self, session: Session) -> None:
        """Delete the row: this process ends."""
        session.execute(delete(Worker).where(Worker.id == self.id))

    def _fixed(self) -> dict[str, Any]:
        host = platform.node()[:255]
        known = {"host": host, "pid": os.getpid(), "started_at": self.started_at}
        return known | {"id": self.id, "kind": self.kind}


def list_workers(session: Session) -> list[Worker]:
    """Return every process that was seen in the last ten minutes, the oldest first."""
    return list(session.scalars(select(Worker).order_by(Worker.id)))


def forget_silent(session: Session, now: datetime) -> int:
    """Delete the rows of processes that were silent for ten minutes; return how many."""
    return rowcount(session.execute(delete(Worker).where(Worker.seen_at < now - FORGET_AFTER)))


@dataclass(frozen=True, slots=True)
class Process:
    """A process with a dispatcher, as its last heartbeat describes it."""

    host: str
    pid: int
    # worker or dispatcher.
    kind: str
    started_at: datetime
    seen_at: datetime
    # False: its last three heartbeats are missing.
    alive: bool
    running: tuple[str, ...]
    broken: tuple[str, ...]
    probing: tuple[str, ...]


def processes(kernel: Kernel) -> list[Process]:
    """Return every process that was seen in the last ten minutes, the oldest first."""
    since = kernel.clock.now() - timedelta(seconds=MISSED * kernel.settings.sweep_seconds)
    with kernel.read_session() as session:
        return [
            Process(
                host=one.host,
                pid=one.pid,
                kind=one.kind,
                started_at=one.started_at,
                seen_at=one.seen_at,
                alive=one.seen_at >= since,
                running=tuple(one.running.split()),
                broken=tuple(one.broken.split()),
                probing=tuple((one.probing or "").split()),
            )
            for one in list_workers(session)
        ]
