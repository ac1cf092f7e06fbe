"""Which processes are at work, and on what."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kernel.insight.readiness import MISSED
from kernel.insight.workers import list_workers
from kernel.runtime.kernel import Kernel


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
