"""Keep what was counted, in minutes that are over and by processes that ended; forget these."""

from datetime import datetime

from kernel.insight import process_metrics
from kernel.insight.trends import marks, rows
from kernel.insight.trends.minutes import settled
from kernel.insight.workers import forget_silent
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.set_aside import SetAside


class CountMinutes:
    """Counts minutes that are over, the oldest first, and asks for more when another one is."""

    def __init__(self) -> None:
        self._counted: datetime | None = None

    def run(self, kernel: Kernel, _swept: Swept) -> None:
        """Write the counts of some minutes. Raises the database's errors."""
        until = settled(kernel.clock.now())
        if until != self._counted and rows.write(kernel) < rows.BATCH:
            self._counted = until


def mark_breakers(kernel: Kernel, _swept: Swept) -> None:
    """Mark breakers that opened or closed since the last sweep; forget old marks."""
    marks.note_breakers(kernel)
    marks.forget(kernel)


def fold_metrics(kernel: Kernel, _swept: Swept, unreadable: SetAside) -> None:
    """Add the counts of processes that have ended to those of the past.

    A row that cannot be read joins ``unreadable``.
    """
    for row_id, error in process_metrics.fold(kernel, unreadable).unreadable.items():
        unreadable.add(row_id, error)


def forget_processes(kernel: Kernel, _swept: Swept) -> None:
    """Delete the rows of processes that have been silent for ten minutes."""
    with kernel.write_session() as session:
        forget_silent(session, kernel.clock)
