"""Pruning after a sweep: a transaction at a time, between the turns of other services."""

import math
import time

from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import BEGINNING, kept_orders, prune
from kernel.worker.services.service import Service

# Between two transactions: some hundred orders are deleted in a second, and most of the time is
# left to other services.
PAUSE_SECONDS = 0.05


class Pruning(Service):
    """Prunes from `begin` until nothing is left to prune, or until the next sweep is due."""

    name = "pruning"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._until = 0.0
        self._after = BEGINNING
        self._aside = kept_orders()
        self._due_at = math.inf

    @property
    def due_at(self) -> float:
        """When to go on; infinity when nothing is left."""
        return self._due_at

    def begin(self, _kernel: Kernel, _swept: Swept) -> None:
        """Prune from now on: the last job of a sweep, in the process that swept."""
        self._due_at = time.monotonic()
        self._until = self._due_at + self._kernel.settings.sweep_seconds

    def run(self) -> None:
        """Prune one transaction's worth. Raises database errors; the next sweep tries again."""
        self._due_at = math.inf
        after = prune(self._kernel, self._after, self._aside).after
        self._after = after or BEGINNING
        if after is not None and time.monotonic() < self._until:
            self._due_at = time.monotonic() + PAUSE_SECONDS
