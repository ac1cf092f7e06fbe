"""Keep the counts of processes that have ended."""

from kernel.insight import process_metrics
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept


def fold_metrics(kernel: Kernel, _swept: Swept) -> None:
    """Add the counts of processes that have ended to those of the past."""
    process_metrics.fold(kernel)
