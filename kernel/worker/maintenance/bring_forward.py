"""Make due what waits only because the database's clock was set back."""

from kernel.bulk.progress import bring_acts_forward
from kernel.db.statements.set_back import MOST
from kernel.delivery.set_back import bring_callbacks_forward
from kernel.orders.set_back import bring_orders_forward, bring_waits_forward
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept


class BringForward:
    """Looks once with each steady clock: this process's first, and each that was set since.

    At orders alone while it has not seen the clock being set: all else that waits may be much.
    """

    def __init__(self) -> None:
        self._looked_with: float | None = None

    def run(self, kernel: Kernel, _swept: Swept) -> None:
        """Bring it forward; some may be left for the next sweep. Raises database errors."""
        steady_since = kernel.clock.steady_since
        if steady_since == self._looked_with:
            return
        left = bring_orders_forward(kernel)
        if kernel.clock.was_set:
            bring_acts_forward(kernel)
            left = max(left, bring_waits_forward(kernel), bring_callbacks_forward(kernel))
        if left < MOST:
            self._looked_with = steady_since
