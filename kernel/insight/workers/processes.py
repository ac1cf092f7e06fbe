"""The processes with a dispatcher, as their rows describe them."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from kernel.db.tables.service import Asked, Worker
from kernel.delivery.breakers import OF_RECEIVER
from kernel.insight.readiness import MISSED
from kernel.insight.workers.heartbeat import Running
from kernel.runtime.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Process:
    """A process with a dispatcher, as its last heartbeat describes it."""

    id: str
    host: str
    pid: int
    # worker or dispatcher.
    kind: str
    started_at: datetime
    seen_at: datetime
    # False: its last three heartbeats are missing.
    alive: bool
    running: tuple[str, ...]
    # Origins, each with `#` and the id of the caller whose callbacks there are held back; of one
    # receiver there, where the origin is followed by `/receiver:` and its id.
    broken: tuple[str, ...]
    probing: tuple[str, ...]
    # Empty where an older release wrote the row; then nothing is known of what it runs but ids.
    version: str
    # As Celery calls it; empty for a dispatcher.
    pool: str
    runs: tuple[Running, ...]
    # It takes nothing new, as it was asked to.
    quiet: bool
    asked: Asked | None
    asked_at: datetime | None

    @property
    def name(self) -> str:
        """Host and number, as they stand in a run's row."""
        return f"{self.host}:{self.pid}"

    @property
    def obeys(self) -> bool:
        """Whether it looks for what people ask: an older release does not."""
        return bool(self.version)

    @property
    def is_drained(self) -> bool:
        """Whether it takes nothing new, and has nothing left to run."""
        return self.quiet and not self.running


def target_of(written: str) -> tuple[str, int | None]:
    """Read an origin, and whose breaker it is; None where an older release wrote it.

    Of one receiver's breaker it is the receiver's origin.
    """
    place, _, caller_id = written.partition("#")
    return place.partition(OF_RECEIVER)[0], int(caller_id) if caller_id else None


def processes(kernel: Kernel) -> list[Process]:
    """Return every process that was seen in the last ten minutes, the oldest first."""
    missed = timedelta(seconds=MISSED * kernel.settings.sweep_seconds)
    with kernel.read_session() as session:
        alive = Worker.seen_at >= kernel.clock.sql(-missed)
        found = session.execute(select(Worker, alive).order_by(Worker.id)).all()
        return [_process(one, bool(lives)) for one, lives in found]


def is_silent(kernel: Kernel, process_id: str) -> bool:
    """Tell whether a process is one that does not follow what is asked of it, as far as is seen."""
    return any(one.id == process_id and not one.alive for one in processes(kernel))


def _process(row: Worker, alive: bool) -> Process:
    running = tuple(row.running.split())
    known = {one.order_id: one for one in _runs(row.runs)}
    return Process(
        id=row.id,
        host=row.host,
        pid=row.pid,
        kind=row.kind,
        started_at=row.started_at,
        seen_at=row.seen_at,
        alive=alive,
        running=running,
        broken=tuple(row.broken.split()),
        probing=tuple((row.probing or "").split()),
        version=row.version or "",
        pool=row.pool or "",
        runs=tuple(known.get(one) or Running(one) for one in running),
        quiet=bool(row.quiet),
        asked=Asked(row.asked) if row.asked in set(Asked) else None,
        asked_at=row.asked_at,
    )


def _runs(written: str | None) -> list[Running]:
    """Read what a process runs; nothing where another release has written it in another way."""
    try:
        return [Running.read(one) for one in json.loads(written or "[]")]
    except (ValueError, TypeError):
        return []
