"""How often a process asks whether orders wait that its main process should take."""

import os
import time

from kernel.runtime.kernel import Kernel
from kernel.worker.pool.main_watch import MainWatch, Patience
from kernel.worker.pool.vitals import Vitals
from tests.performance.test_costs import counting
from tests.support.factories import make_order


def test_nothing_is_asked_before_an_order_can_have_waited_too_long(kernel: Kernel) -> None:
    make_order(kernel)
    patience = Patience(watch=-1, stuck=60)
    watch = MainWatch(kernel, Vitals(), os.getpid(), patience, backlog=lambda: 1)
    watch.busy_at = time.monotonic() - 61
    with counting(kernel) as first:
        watch.look()
    with counting(kernel) as second:
        watch.look()
    assert (first["statements"], second["statements"]) == (2, 0)
