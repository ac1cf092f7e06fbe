"""Pruning between the turns of other services, from one sweep to the next."""

import math
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import func, select

from kernel.db.tables.orders import Order
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.prune import PRUNE
from kernel.worker.services.pruning import PAUSE_SECONDS, Pruning
from tests.support.factories import make_order
from tests.support.hints import FakeHints
from tests.support.waiting import wait_until


def fill(kernel: Kernel, count: int) -> None:
    """Make orders that ended long ago and owe no callback."""
    ago = kernel.clock.now() - timedelta(days=40)
    for _ in range(count):
        make_order(kernel, state="success", created_at=ago, finished_at=ago)


def left(kernel: Kernel) -> int:
    """How many orders there are."""
    with kernel.read_session() as session:
        return session.scalar(select(func.count()).select_from(Order)) or 0


def test_pruning_goes_on_after_a_sweep_when_there_is_more(kernel: Kernel) -> None:
    fill(kernel, PRUNE + 1)
    pruning = Pruning(kernel)
    assert pruning.due_at == math.inf
    pruning.begin(kernel, Swept())
    assert pruning.due_at <= time.monotonic()
    begun = time.monotonic()
    pruning.run()
    assert left(kernel) == 1
    assert begun + PAUSE_SECONDS <= pruning.due_at < math.inf, "it pauses in between"
    wait_until(lambda: pruning.run() or pruning.due_at == math.inf, 5, "the end")
    assert left(kernel) == 0


def test_dispatcher_prunes_everything_that_is_old_when_it_sweeps(
    make_kernel: Callable[..., Kernel], main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, sweep_seconds=60)
    fill(kernel, 3 * PRUNE)
    dispatcher = Dispatcher(kernel, FakeHints(), threads=1)
    dispatcher.start()
    wait_until(lambda: left(kernel) == 0, 20, "the end of what is old")
    assert dispatcher.stop(10)
