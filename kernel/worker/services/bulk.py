"""Does bulk acts: a step at a time, between the turns of other services."""

import math
import time
from collections.abc import Callable

from kernel.bulk.jobs import forget_jobs, running_jobs
from kernel.bulk.progress import new_token
from kernel.bulk.steps import Stepped, Worker, step
from kernel.orders.backpressure import Pressure
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.services.service import Service

# Between two steps: most of the time is left to other services.
PAUSE_SECONDS = 0.05
# From one look to the next while acts are under way and none is due: a rate, or a pause.
LOOK_SECONDS = 0.5


class BulkActs(Service):
    """Does steps of bulk acts from `begin` until none is under way, or the next sweep is due.

    ``tell`` is given what each step did.
    """

    name = "bulk acts"

    def __init__(self, kernel: Kernel, tell: Callable[[Stepped], None]) -> None:
        self._kernel = kernel
        self._tell = tell
        self._worker: Worker | None = None
        self._until = 0.0
        self._due_at = math.inf

    @property
    def due_at(self) -> float:
        """When to go on; infinity while no act is under way."""
        return self._due_at

    def begin(self, kernel: Kernel, _swept: Swept) -> None:
        """Go on from now on, if there is an act: a job of a sweep, in the process that swept."""
        forget_jobs(kernel)
        with kernel.read() as connection:
            if not running_jobs(connection):
                return
        self._due_at = time.monotonic()
        self._until = self._due_at + kernel.settings.sweep_seconds

    def run(self) -> None:
        """Do one step. Raises database errors, after what was done was told."""
        self._due_at = math.inf
        if self._worker is None:
            token = new_token(self._kernel)
            self._worker = Worker(self._kernel, token, Pressure(self._kernel))
        stepped = step(self._worker)
        if time.monotonic() < self._until:
            pause = LOOK_SECONDS if stepped is None else PAUSE_SECONDS
            self._due_at = time.monotonic() + pause
        if stepped is not None:
            self._tell(stepped)
            if stepped.error is not None:
                raise stepped.error


def tell(hints: Hints, wake: Callable[[], None], stepped: Stepped) -> None:
    """Hint new orders and those that go on, mirror the ends, and have callbacks sent."""
    ended = [end for end in stepped.ends if end.outcome is not None]
    hints.hint([*stepped.hints, *(one for end in stepped.ends for one in end.woken)])
    for end in ended:
        if end.outcome is not None:
            hints.finished(end.order_id, end.outcome)
    if ended or stepped.sends:
        wake()
