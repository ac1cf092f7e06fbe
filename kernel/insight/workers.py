"""Who is at work: each process with a dispatcher notes itself in a row, for people to see."""

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

FORGET_AFTER = timedelta(minutes=10)
# What a row holds at the most: ids of running orders, open breakers.
SHOWN = 100


@dataclass(slots=True)
class Presence:
    """One process, from its start to its end. Belongs to the dispatcher's thread."""

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
        """Write what this process does now. One statement; the first time, two."""
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
        """Say that this process ends."""
        session.execute(delete(Worker).where(Worker.id == self.id))

    def _fixed(self) -> dict[str, Any]:
        host = platform.node()[:255]
        known = {"host": host, "pid": os.getpid(), "started_at": self.started_at}
        return known | {"id": self.id, "kind": self.kind}


def list_workers(session: Session) -> list[Worker]:
    """Return every process that was there lately, the oldest first."""
    return list(session.scalars(select(Worker).order_by(Worker.id)))


def forget_silent(session: Session, now: datetime) -> int:
    """Remove processes that ended without saying so; return how many."""
    return rowcount(session.execute(delete(Worker).where(Worker.seen_at < now - FORGET_AFTER)))
