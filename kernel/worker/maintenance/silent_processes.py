"""Forget processes that ended without saying so."""

from kernel.insight.workers import forget_silent
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept


def forget_processes(kernel: Kernel, _swept: Swept) -> None:
    """Delete the rows of processes that have been silent for ten minutes."""
    with kernel.write_session() as session:
        forget_silent(session, kernel.clock.now())
