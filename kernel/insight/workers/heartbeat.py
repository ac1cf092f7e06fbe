"""The row of a process: each one with a dispatcher writes its heartbeat, and reads what is asked.

A process of which nothing is asked pays nothing for it: its heartbeat is the one UPDATE that it
always was, and what is asked keeps that from finding the row.
"""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, NamedTuple, Self

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.orm import Session

from kernel.db.clock import Clock, DatabaseTime
from kernel.db.ids import runner_id
from kernel.db.tables.service import Asked, DrainedHost, Worker
from kernel.db.transactions import rowcount
from kernel.delivery.breakers import ReceiverPath, Target

FORGET_AFTER = timedelta(minutes=10)
# At most as many ids of running orders, and as many origins, stand in a row.
SHOWN = 100
# An UPDATE of the table costs half of one of the class, which looks for objects to change as well.
_ROWS: Any = Worker.__table__


class Running(NamedTuple):
    """An order that a process runs. ``limit``: for how many seconds it may; None: not known."""

    order_id: str
    run: int = 0
    tag: str = ""
    since: datetime | None = None
    limit: float | None = None

    def written(self) -> list[Any]:
        """Return it as the row has it, in JSON."""
        since = None if self.since is None else self.since.isoformat()
        return [self.order_id, self.run, self.tag, since, self.limit]

    @classmethod
    def read(cls, written: Sequence[Any]) -> Self:
        """Read what `written` wrote; what a later release adds is left out."""
        order_id, run, tag, since, limit = written[:5]
        return cls(order_id, run, tag, since and datetime.fromisoformat(since), limit)


def host_name() -> str:
    """Return the name of this host, as rows have it and people drain it."""
    return platform.node()[:255]


def is_drained(session: Session, host: str) -> bool:
    """Tell whether a person has drained this host."""
    return bool(session.scalar(select(exists().where(DrainedHost.host == host))))


@dataclass(slots=True)
class Heartbeat:
    """The row of one process, from its start to its end. Belongs to the dispatcher's thread.

    ``kind``: worker or dispatcher. ``id``: of the process, as it stands in all that it claims; by
    default a new one. ``pool``: as Celery calls it. ``asked``: what a person asks of it, as of the
    last heartbeat. ``whereabouts``: by which others on its machine see that it lives.
    """

    kind: str
    started_at: datetime
    id: str = ""
    pool: str = ""
    whereabouts: str | None = None
    asked: Asked | None = None
    # The row that is there was written a heartbeat ago: a host that was drained in that very moment
    # has not seen it.
    _is_new: bool = False

    def __post_init__(self) -> None:
        self.id = self.id or runner_id(self.started_at)

    def note(
        self,
        session: Session,
        now: datetime | DatabaseTime,
        running: Iterable[Running],
        broken: Iterable[Target | ReceiverPath],
        probing: Iterable[Target | ReceiverPath] = (),
    ) -> None:
        """Write what this process does now, and read what is asked of it.

        One statement as long as nothing is. ``broken`` and ``probing``: targets and receivers
        whose breaker is open, and those whose breaker is half-open.
        """
        some = sorted(running)[:SHOWN]
        values: dict[str, Any] = {
            "seen_at": now,
            "running": " ".join(one.order_id for one in some),
            "runs": json.dumps([one.written() for one in some]),
            "broken": " ".join(sorted(map(str, broken))[:SHOWN]),
            "probing": " ".join(sorted(map(str, probing))[:SHOWN]),
        }
        mine = update(_ROWS).where(_ROWS.c.id == self.id)
        unasked = mine.where(_ROWS.c.asked.is_(None)).values(values | {"quiet": False})
        if not self._is_new and rowcount(session.execute(unasked)):
            self.asked = None
            return
        found = session.execute(select(Worker.asked).where(Worker.id == self.id)).one_or_none()
        asked = None if found is None else found.asked
        is_unsure = asked is None and (found is None or self._is_new)
        if is_unsure and is_drained(session, host_name()):
            asked = Asked.DRAIN
        self.asked = Asked(asked) if asked in set(Asked) else None
        values |= {"quiet": self.asked is Asked.DRAIN}
        self._is_new = found is None
        if found is None:
            session.execute(insert(_ROWS).values(values | {"asked": asked} | self._fixed()))
            return
        # What is asked is left as it is: a person may have changed it since it was read.
        session.execute(mine.values(values))
        if asked != found.asked:
            session.execute(mine.where(_ROWS.c.asked.is_(None)).values(asked=asked))

    def leave(self, session: Session) -> None:
        """Delete the row: this process ends."""
        session.execute(delete(Worker).where(Worker.id == self.id))

    def _fixed(self) -> dict[str, Any]:
        known = {"host": host_name(), "pid": os.getpid(), "started_at": self.started_at}
        known |= {"version": version("kernel-workorders"), "pool": self.pool or None}
        known |= {"whereabouts": self.whereabouts}
        return known | {"id": self.id, "kind": self.kind}


def forget_silent(session: Session, clock: Clock) -> int:
    """Delete the rows of processes that were silent for ten minutes; return how many."""
    silent = Worker.seen_at < clock.sql(-FORGET_AFTER)
    return rowcount(session.execute(delete(Worker).where(silent)))
