"""Looks whether orders wait: then a process takes its orders from the rows, not from messages."""

import math
import time
from collections.abc import Callable

from kernel.orders.due import waiting_longest
from kernel.runtime.kernel import Kernel
from kernel.worker.services.service import Service

# An order that has been due for this long waits for a worker, or has lost its hint: a hint that a
# worker is free for arrives within a tenth of it.
WAITING_SECONDS = 1.0


class QueueWatch(Service):
    """Looks at most every ``seconds``, while messages are worked off, and outside their path.

    ``tell`` is called when an order waits. An idle process has an empty queue before it, and does
    not look: the sweep hints what is due.
    """

    name = "waiting orders"

    def __init__(
        self, kernel: Kernel, tell: Callable[[], None], *, seconds: float = WAITING_SECONDS
    ) -> None:
        self._kernel = kernel
        self._tell = tell
        self._seconds = seconds
        self._looked_at = -math.inf
        # A message was worked off since the last look.
        self.wanted = False

    @property
    def due_at(self) -> float:
        """When it looks next: never, while nothing runs and no message is worked off."""
        busy = self.wanted or self._kernel.running
        return self._looked_at + self._seconds if busy else math.inf

    def run(self) -> None:
        """Look. Raises database errors."""
        self.wanted = False
        self._looked_at = time.monotonic()
        if waiting_longest(self._kernel) > WAITING_SECONDS:
            self._tell()
