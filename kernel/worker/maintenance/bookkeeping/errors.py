"""Counts failures by their kind, and forgets those of long ago."""

import time

from kernel.insight.failures.counting import BATCH, count_failures, forget_errors
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept

# How long one sweep counts; the rest is for the next.
SECONDS = 1.0


def count_errors(kernel: Kernel, _swept: Swept) -> None:
    """Count failures until none is left, or until it has taken too long."""
    until = time.monotonic() + SECONDS
    while count_failures(kernel) == BATCH and time.monotonic() < until:
        pass
    forget_errors(kernel)
