"""Hold deliveries that became owed while their receiver or their caller was paused."""

from kernel.delivery.pauses import hold_paused
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept


def hold_deliveries(kernel: Kernel, _swept: Swept) -> None:
    """Mark pending deliveries of paused hosts and callers as held."""
    hold_paused(kernel)
