"""Hands back what dead processes of this worker had claimed, without waiting for leases."""

import time
from collections.abc import Callable

from kernel.orders.transitions import RunEnd
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.rescue import take_over
from kernel.worker.maintenance.set_aside import SetAside
from kernel.worker.pool.vitals import Vitals
from kernel.worker.services.service import Service


class Takeover(Service):
    """Looks for places that the main process has cleared, when told to, and every ``seconds``.

    The first turn comes at once: in a pool of one process the replacement does it. Two processes
    that see the same place do no harm: what the first has handed back, the second finds no more.
    ``tell`` learns what became of orders. ``after`` is called after each takeover: callbacks may be
    due, and hints that the dead process had in memory are lost.
    """

    name = "takeover"
    asks = False  # only when a process died

    def __init__(
        self,
        kernel: Kernel,
        vitals: Vitals,
        tell: Callable[[RunEnd], None],
        after: Callable[[], None],
        *,
        seconds: float,
    ) -> None:
        self._kernel = kernel
        self._vitals = vitals
        self._tell = tell
        self._after = after
        self._seconds = seconds
        self._aside = SetAside("order not taken over")
        self._due_at = 0.0

    @property
    def due_at(self) -> float:
        """When it looks next."""
        return self._due_at

    def hurry(self) -> None:
        """Look with the next round of the dispatcher. For any thread."""
        self._due_at = 0.0

    def run(self) -> None:
        """Hand back what is there to be handed back. Raises database errors."""
        self._due_at = time.monotonic() + self._seconds
        for place in self._vitals.cleared():
            ends: list[RunEnd] = []
            try:
                if take_over(self._kernel, place.runner, self._aside, ends):
                    self._vitals.free(place)
            finally:
                for end in ends:
                    self._tell(end)
                self._after()
