"""The sweep: the housekeeping of the whole installation, done by one process per interval."""

import time
from collections.abc import Callable, Sequence

from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Job, Swept
from kernel.worker.maintenance.sweep import run_jobs
from kernel.worker.maintenance.turn import next_turn
from kernel.worker.services.health import Health
from kernel.worker.services.service import Service

# Who swept last comes so long after the next sweep is due: a turn may be given a little early.
EARLY_SECONDS = 0.02
# Others come later, and find that it has swept again. Else all would claim each sweep at the same
# moment, for they all know when it is due.
BEHIND_SECONDS = 0.25
# After as many sweeps of one process another one comes first: it may know tags, or reach what this
# one does not, without that a sweep can tell.
IN_A_ROW = 6


class Housekeeping(Service):
    """Runs ``jobs`` when it is this process's turn, and tells the broker what they did.

    A job that fails, or that cannot be done whole here, has its next try with the next sweep, for
    which another process comes first if there is one. ``wake``
    is called when an order has ended: its callback is due. ``hint_later`` is given the id of an
    order and the seconds until it is due.
    """

    name = "sweep"

    def __init__(
        self,
        kernel: Kernel,
        jobs: Sequence[Job],
        hints: Hints,
        wake: Callable[[], None],
        health: Health,
        hint_later: Callable[[str, float], None],
    ) -> None:
        self._kernel = kernel
        self._jobs = jobs
        self._hints = hints
        self._wake = wake
        self._health = health
        self._hint_later = hint_later
        self._due_at = 0.0
        self._in_a_row = 0

    @property
    def due_at(self) -> float:
        """When the next sweep may be this process's turn."""
        return self._due_at

    def run(self) -> None:
        """Take the turn if no other process has, and run each job. Raises database errors."""
        turn_in = next_turn(self._kernel)
        if turn_in:
            self._in_a_row = 0
            self._due_at = time.monotonic() + turn_in + BEHIND_SECONDS
            return
        next_due = time.monotonic() + self._kernel.settings.sweep_seconds
        self._due_at = next_due + 2 * BEHIND_SECONDS  # behind the others, unless it is done whole
        self._in_a_row += 1
        if self.sweep() and self._in_a_row < IN_A_ROW:
            self._due_at = next_due + EARLY_SECONDS
        else:
            self._in_a_row = 0

    def sweep(self) -> bool:
        """Run each job now; one that fails keeps no other from its turn.

        Returns False if another process may do more: a job failed, or could not be done whole.
        """
        is_whole = True
        for job, swept, error in run_jobs(self._kernel, self._jobs):
            self._tell(swept)
            is_whole = is_whole and swept.is_whole and error is None
            if error is None:
                self._health.worked(job.name)
            else:
                self._health.failed(job.name, error)
        return is_whole

    def _tell(self, swept: Swept) -> None:
        self._hints.hint([*swept.due, *swept.rescued])
        for order_id, seconds in swept.soon.items():
            self._hint_later(order_id, seconds)
        for order_id, outcome in swept.failed.items():
            self._hints.finished(order_id, outcome)
        if swept.failed:
            self._wake()
