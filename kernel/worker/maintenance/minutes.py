"""Count what happened in each minute that is over, for charts."""

from kernel.insight import minutes
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept


def count_minutes(kernel: Kernel, _swept: Swept) -> None:
    """Write the counts of the oldest minutes that are over and not counted yet."""
    minutes.write(kernel)
