"""The queue as the rows have it: while orders wait, a process takes its next ones from there."""

from collections.abc import Sequence

from kernel.orders.due import next_orders
from kernel.orders.gates.turns import DueOrder
from kernel.runtime.hints import MORE, Hints
from kernel.runtime.kernel import Kernel

# How many orders a process takes at once.
TOGETHER = 10


class RowQueue:
    """Takes the orders whose turn it is, from `want` on until none waits."""

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self._kernel = kernel
        self._hints = hints
        self._last = 0
        # Orders wait, and their hints may have been left out, or lost.
        self.wanted = False

    def want(self) -> None:
        """Say that orders wait. For any thread."""
        self.wanted = True

    def take(self) -> list[DueOrder]:
        """Return up to `TOGETHER` orders, one of each caller in turn; each may be claimed by then.

        When more of them wait, another process is told, which may be free. Raises database errors.
        """
        if not self.wanted:
            return []
        self.wanted = False  # from here on another thread may say so again
        dealt = next_orders(self._kernel, TOGETHER, self._last)
        self.wanted = bool(dealt) or self.wanted
        if len(dealt) == TOGETHER:
            self._hints.hint([MORE])
        return dealt

    def ran(self, orders: Sequence[DueOrder], order_id: str) -> None:
        """Note that an order has run: the next turn is that of another caller."""
        for one in orders:
            if one.id == order_id:
                self._last = one.caller_id
