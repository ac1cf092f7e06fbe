"""Processes as pages, commands and the API tell of them: what each runs, and whether it hangs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from kernel.db.tables.service import Asked
from kernel.formats.envelope import rfc3339
from kernel.insight.trends.series import Trends
from kernel.insight.workers.asking import Drained, drained_hosts
from kernel.insight.workers.hanging import Hangs, hangs, usual_seconds
from kernel.insight.workers.heartbeat import Running
from kernel.insight.workers.processes import Process, processes
from kernel.runtime.kernel import Kernel


class Doing(StrEnum):
    """What a process does, in a word. The names are on the wire."""

    SILENT = "silent"
    TERMINATING = "terminating"
    # Its host is drained, and it ends what it runs.
    DRAINING = "draining"
    DRAINED = "drained"
    RUNNING = "running"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class ShownRun:
    """An order that a process runs. ``usual``: within how many seconds 95 % of its tag's end."""

    run: Running
    usual: float | None
    hangs: Hangs | None


@dataclass(frozen=True, slots=True)
class ShownProcess:
    """A process, and what it does."""

    process: Process
    doing: Doing
    runs: list[ShownRun]

    @property
    def hangs(self) -> bool:
        """Whether one of its runs does."""
        return any(one.hangs for one in self.runs)


@dataclass(frozen=True, slots=True)
class Workers:
    """All processes at a moment, those with a run that hangs first, and the drained hosts."""

    at: datetime
    processes: list[ShownProcess]
    drained: list[Drained]

    @property
    def hosts(self) -> dict[str, list[ShownProcess]]:
        """The processes by host, and the drained hosts without one."""
        found: dict[str, list[ShownProcess]] = {one.host: [] for one in self.drained}
        for one in self.processes:
            found.setdefault(one.process.host, []).append(one)
        return found

    def drain_of(self, host: str) -> Drained | None:
        """Return who drained a host, and why; None when it is not drained."""
        return next((one for one in self.drained if one.host == host), None)


def read_workers(kernel: Kernel, trends: Trends) -> Workers:
    """Return the processes that were seen in the last ten minutes. Raises database errors."""
    found, now = processes(kernel), kernel.clock.now()
    usual = usual_seconds(trends) if any(one.running for one in found) else {}
    with kernel.read_session() as session:
        drained = drained_hosts(session)
    seen = [_shown(one, usual, now) for one in found]
    return Workers(now, sorted(seen, key=lambda one: not one.hangs), drained)


def _shown(process: Process, usual: Mapping[str, float], now: datetime) -> ShownProcess:
    runs = [
        ShownRun(one, usual.get(one.tag), hangs(one, process, usual, now)) for one in process.runs
    ]
    return ShownProcess(process, _doing(process), runs)


def _doing(process: Process) -> Doing:
    if not process.alive:
        return Doing.SILENT
    if process.asked is Asked.TERMINATE:
        return Doing.TERMINATING
    if process.is_drained:
        return Doing.DRAINED
    if process.asked is Asked.DRAIN:
        return Doing.DRAINING
    return Doing.RUNNING if process.running else Doing.IDLE


def workers_data(found: Workers) -> dict[str, Any]:
    """Return the processes and the drained hosts as JSON members."""
    return {
        "processes": [process_data(one) for one in found.processes],
        "drained": [
            {"host": one.host, "since": rfc3339(one.since), "by": one.by, "reason": one.why}
            for one in found.drained
        ],
    }


def process_data(one: ShownProcess) -> dict[str, Any]:
    """Return a process as JSON members."""
    process = one.process
    return {
        "process_id": process.id,
        "host": process.host,
        "pid": process.pid,
        "kind": process.kind,
        "version": process.version or None,
        "pool": process.pool or None,
        "started_at": rfc3339(process.started_at),
        "seen_at": rfc3339(process.seen_at),
        "doing": one.doing,
        "asked": process.asked,
        "asked_at": rfc3339(process.asked_at),
        "runs": [_run_data(run) for run in one.runs],
    }


def _run_data(one: ShownRun) -> dict[str, Any]:
    run = one.run
    return {
        "order_id": run.order_id,
        "run": run.run or None,
        "select_tag": run.tag or None,
        "since": rfc3339(run.since),
        "time_limit": run.limit,
        "usual_p95": one.usual and round(one.usual, 4),
        "hangs": one.hangs,
    }
