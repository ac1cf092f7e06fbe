"""Hints whose time is to come."""

import math

from kernel.worker.services.hint_timers import HintTimers
from tests.support.hints import FakeHints
from tests.support.waiting import wait_until


def test_orders_are_hinted_in_the_order_of_their_times_when_these_come() -> None:
    hints, wakes = FakeHints(), list[None]()
    timers = HintTimers(hints, lambda: wakes.append(None))
    assert timers.due_at == math.inf
    timers.put("never", 3600.0)
    timers.put("later", 0.2)
    timers.put("sooner", 0.0)
    timers.run()
    assert (hints.hinted, len(wakes)) == (["sooner"], 3)
    wait_until(lambda: timers.run() or hints.hinted == ["sooner", "later"])
    assert timers.due_at < math.inf
