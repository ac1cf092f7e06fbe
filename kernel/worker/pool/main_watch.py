"""A pool process looks after the main process: one that takes nothing more gets a successor."""

import logging
import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from kernel.orders.due import waiting_longest
from kernel.runtime.kernel import Kernel
from kernel.worker.pool.vitals import Vitals

log = logging.getLogger(__name__)


class Patience(NamedTuple):
    """After how many seconds a worker process acts."""

    # Nothing is received although orders and hints wait: the worker is stuck.
    stuck: float = 10.0
    # The consumer's loop stands although orders and hints wait: another main process is due.
    standing: float = 4.0
    # From one look for that to the next.
    watch: float = 2.0
    # From one look for processes of the worker that died to the next; the main process tells of
    # each, see `kernel.worker.pool.main_line`.
    takeover: float = 1.0
    # A run takes longer: the orders of its message that are left are hinted again.
    neighbour: float = 0.5


class MainWatch:
    """Replaces a main process whose consumer is gone although orders and hints are waiting.

    ``backlog`` returns how many hints wait; None when the broker does not say.
    """

    def __init__(
        self,
        kernel: Kernel,
        vitals: Vitals,
        main_pid: int,
        patience: Patience,
        backlog: Callable[[], int | None],
    ) -> None:
        self._kernel = kernel
        self._vitals = vitals
        self._main_pid = main_pid
        self._patience = patience
        self._backlog = backlog
        # When this process had something to do last.
        self.busy_at = time.monotonic()
        self._watched_at = 0.0
        # By the seconds that an order must have waited: no order can have, before this moment.
        self._none_before: dict[float, float] = {}
        self._stuck_since: float | None = None

    def look(self) -> None:
        """Look, as often as the patience says."""
        if time.monotonic() - self._watched_at > self._patience.watch:
            self._watched_at = time.monotonic()
            self._look()

    def _look(self) -> None:
        consumer, now = self._vitals.consumer, time.monotonic()
        if consumer.ended_at or self._vitals.is_quiet:  # it is to take nothing more
            return
        if consumer.asked_at:
            if now - consumer.asked_at > self._patience.stuck:
                self._end_main()
        elif self._loop_stands(now) and consumer.has_supervisor:
            log.critical("orders and hints wait, the consumer's loop stands: a successor is due")
            consumer.ask_for_successor()
        elif self._is_stuck(now):
            log.critical("orders and hints wait, nothing is received: ending the worker")
            if consumer.has_supervisor:
                consumer.ask_for_successor()
            else:
                os.kill(self._main_pid, signal.SIGKILL)

    def _loop_stands(self, now: float) -> bool:
        """Tell whether the loop, which turns whether or not the pool is busy, has stopped."""
        turned_at, standing = self._vitals.consumer.turned_at, self._patience.standing
        return bool(turned_at) and now - turned_at > standing and self._work_waits(standing)

    def _is_stuck(self, now: float) -> bool:
        """Tell whether this process has been free, and nothing came, for twice the patience."""
        free_since = max(self._vitals.received_at, self.busy_at)
        stuck = self._patience.stuck
        if self._kernel.running or now - free_since < stuck or not self._work_waits(stuck):
            self._stuck_since = None
            return False
        self._stuck_since = self._stuck_since or now
        return now - self._stuck_since > stuck

    def _end_main(self) -> None:
        """End a main process that has a successor and does not wind down, once no handler runs."""
        if not self._kernel.running and not self._vitals.consumer.busy.held_elsewhere():
            log.critical("the main process does not end: ending it")
            os.kill(self._main_pid, signal.SIGKILL)

    def _work_waits(self, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._none_before.get(seconds, 0.0):
            return False
        longest = waiting_longest(self._kernel)
        self._none_before[seconds] = now + seconds - longest
        return longest > seconds and bool(self._backlog())
