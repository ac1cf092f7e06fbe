"""Make orders due that a clock which was set back has put off."""

from kernel.orders.due import HINTS, bring_forward
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept


class BringForward:
    """Looks once with each steady clock: this process's first, and each that was set since."""

    def __init__(self) -> None:
        self._looked_with: float | None = None

    def run(self, kernel: Kernel, _swept: Swept) -> None:
        """Bring them forward; some may be left for the next sweep. Raises database errors."""
        steady_since = kernel.clock.steady_since
        if steady_since != self._looked_with and bring_forward(kernel) < HINTS:
            self._looked_with = steady_since
