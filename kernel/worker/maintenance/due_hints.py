"""Find orders that are due and whose hints may be lost, and those whose time comes soon."""

from kernel.orders.due import HINTS, due_orders, due_soon
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept

# While more hints than this wait in the broker, it gets no others.
BACKLOG = 2 * HINTS
# For how many seconds an order must have been due: one that is due for longer has lost its hint,
# or, while hints wait in the broker (True), may have.
WAITING = {False: 1.0, True: 5.0}


class DueHints:
    """Finds due orders, the oldest first, while few hints wait in the broker behind ``hints``.

    Without ``hints`` it finds all that are due, and asks no broker.
    """

    def __init__(self, hints: Hints | None) -> None:
        self._hints = hints

    def run(self, kernel: Kernel, swept: Swept) -> None:
        """Add at most `HINTS` due orders to ``swept``."""
        if self._hints is None:
            swept.due += due_orders(kernel, HINTS)
            return
        backlog = self._hints.backlog()
        swept.is_whole = backlog is not None  # the hints would not reach the broker, either
        if backlog is None or backlog < BACKLOG:
            swept.due += due_orders(kernel, HINTS, waiting=WAITING[bool(backlog)])
            swept.soon |= due_soon(kernel, HINTS, kernel.settings.sweep_seconds)
