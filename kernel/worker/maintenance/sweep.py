"""What makes lost messages and dead workers harmless: the jobs of a sweep, run one after another.

Jobs return ids; the caller sends the hints.
"""

from collections.abc import Callable, Iterator, Sequence

from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.due_hints import DueHints
from kernel.worker.maintenance.job import Job, Swept
from kernel.worker.maintenance.known_tags import fail_unknown
from kernel.worker.maintenance.minutes import count_minutes
from kernel.worker.maintenance.past_metrics import fold_metrics
from kernel.worker.maintenance.paused import hold_deliveries
from kernel.worker.maintenance.rescue import rescue_orders
from kernel.worker.maintenance.set_aside import SetAside
from kernel.worker.maintenance.silent_processes import forget_processes


def sweep_jobs(hints: Hints | None, *, may_rescue: Callable[[], bool]) -> list[Job]:
    """Return the jobs of a sweep in their order.

    ``hints``: where due orders will be hinted; None to find them all, however many hints wait.
    ``may_rescue`` is False until this process has reached the database without a break for a
    whole lease: an outage is not a death.
    """

    not_rescued, not_failed = SetAside("order not rescued"), SetAside("order not failed")

    def rescue(kernel: Kernel, swept: Swept) -> None:
        if may_rescue():
            rescue_orders(kernel, swept, not_rescued)

    def fail(kernel: Kernel, swept: Swept) -> None:
        fail_unknown(kernel, swept, not_failed)

    return [
        Job("hints of due orders", DueHints(hints).run),
        Job("deliveries on hold", hold_deliveries),
        Job("rescue", rescue),
        Job("orders of unknown tags", fail),
        Job("silent processes", forget_processes),
        Job("metrics of ended processes", fold_metrics),
        Job("counts of minutes", count_minutes),
    ]


def run_jobs(kernel: Kernel, jobs: Sequence[Job]) -> Iterator[tuple[Job, Swept, Exception | None]]:
    """Run ``jobs`` in turn; yield each with what it did, and with its error if it failed.

    What a job did before it failed is committed, so it has to be told all the same.
    """
    for job in jobs:
        swept, failed = Swept(), None
        try:
            job.run(kernel, swept)
        except Exception as error:  # noqa: BLE001 - the next job has its turn
            failed = error
        yield job, swept, failed


def sweep(kernel: Kernel, *, rescue: bool, swept: Swept | None = None) -> Swept:
    """Run every job of a sweep now, whichever process's turn it is, and return what they did.

    Raises the error of a job that failed, after the last job: pass ``swept`` to see what was done
    all the same.
    """
    total, errors = Swept() if swept is None else swept, []
    jobs = sweep_jobs(None, may_rescue=lambda: rescue)
    for _, done, error in run_jobs(kernel, jobs):
        total.due += done.due
        total.rescued += done.rescued
        total.failed |= done.failed
        errors += [error] if error is not None else []
    if errors:
        raise errors[0]
    return total
