"""When a worker process looks whether orders wait."""

import math
from datetime import timedelta

from kernel.runtime.kernel import Kernel
from kernel.worker.services.queue_watch import WAITING_SECONDS, QueueWatch
from tests.support.factories import make_order


def test_no_look_is_due_until_a_message_was_worked_off(kernel: Kernel) -> None:
    watch = QueueWatch(kernel, lambda: None)
    assert watch.due_at == math.inf
    watch.wanted = True
    assert watch.due_at < math.inf
    watch.run()
    assert watch.due_at == math.inf


def test_rows_are_wanted_when_an_order_has_been_due_for_a_while(kernel: Kernel) -> None:
    told: list[bool] = []
    watch = QueueWatch(kernel, lambda: told.append(True))
    make_order(kernel)
    watch.run()
    assert told == []
    ago = kernel.clock.now() - timedelta(seconds=2 * WAITING_SECONDS)
    make_order(kernel, run_after=ago)
    watch.run()
    assert told == [True]
