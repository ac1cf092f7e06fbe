"""What a process does for the orders it runs: leases, time limits, hand-backs put off."""

import logging
import os
import signal
import time
from collections.abc import Callable

from kernel.handlers import Run
from kernel.orders.decide import Exit, Why
from kernel.orders.gates.children import with_parent
from kernel.orders.transitions import RunEnd
from kernel.runs.leases import leave_behind, renew_leases, retry_handbacks
from kernel.runtime.kernel import Kernel
from kernel.worker.services.service import Service

log = logging.getLogger(__name__)


def end_process(run: Run) -> None:
    """Kill this process, because ``run`` outlived its time limit: no thread can be stopped."""
    log.error("time limit exceeded; ending the process", extra={"order_id": run.order_id})
    os.kill(os.getpid(), signal.SIGKILL)


class LeaseKeeper(Service):
    """Looks after running orders every ``seconds``.

    Renews leases of which a third is over, and writes the ends of runs that had to be put off;
    ``tell`` learns what became of their orders. A run that outlived its handler's time limit leaves
    its order as timed out, and ``overdue`` is called with it; ``before`` is called before that, so
    that what the run has started is gone when the order's next run begins.
    """

    name = "leases"
    lasts = True
    asks = False  # only while orders run

    def __init__(
        self,
        kernel: Kernel,
        tell: Callable[[RunEnd], None],
        *,
        seconds: float,
        overdue: Callable[[Run], None] = end_process,
        before: Callable[[], object] = lambda: None,
    ) -> None:
        self._kernel = kernel
        self._tell = tell
        self._seconds = seconds
        self._overdue = overdue
        self._before = before
        self._due_at = 0.0

    @property
    def due_at(self) -> float:
        """When it looks next."""
        return self._due_at

    def run(self) -> None:
        """Look after what runs now, and what ran here. Raises database errors."""
        now = time.monotonic()
        self._due_at = now + self._seconds
        runs = list(self._kernel.running.values())
        for run in runs:
            if not run.beside and now - run.started > run.time_limit:
                self._before()
                self._leave(run, Why.TIMED_OUT)
                for one in runs:  # they share its transaction, and have no part in this
                    if one.beside:
                        self._leave(one, Why.NOT_BEGUN)
                self._overdue(run)
        third = self._kernel.settings.lease_seconds / 3
        if old := [run for run in runs if now - run.renewed > third and not run.lost]:
            renew_leases(self._kernel, old)
        # After the leases: one that meets a lock waits for seconds, and no run waits for it.
        for end in retry_handbacks(self._kernel):
            self._tell(end)

    def _leave(self, run: Run, why: Why) -> None:
        end = leave_behind(self._kernel, run, Exit(why))
        self._tell(with_parent(self._kernel, end))
