"""A worker process from the inside: its dispatcher, its end, and the watch over its parent.

Knows nothing of Celery. `kernel.worker.celery_app` tells it what Celery does; it believes the rows.
"""

import logging
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sqlalchemy.exc import DBAPIError

from kernel.delivery.first_attempt import FirstAttempts
from kernel.handlers import Run
from kernel.orders.decide import Exit, Why
from kernel.orders.due import waiting_longest
from kernel.orders.transitions import RunEnd
from kernel.runs.execute import execute_each
from kernel.runs.leases import leave
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher

log = logging.getLogger(__name__)

# After the grace time a handler has this long to reach a checkpoint before its process ends.
LAST_CALL_SECONDS = 2.0


class Patience(NamedTuple):
    """After how many seconds a worker process acts."""

    # Nothing is received although orders and hints wait: the worker is stuck.
    stuck: float = 10.0
    # From one look for that to the next.
    watch: float = 2.0
    # A run takes longer: the orders of its message that are left are hinted again.
    neighbour: float = 0.5


PATIENCE = Patience()


class Mirror(Hints, Protocol):
    """Hints, and where progress is shown; see `kernel.worker.broker.Broker`."""

    def running(self, runs: list[Run]) -> None:
        """Show how far running orders are."""
        ...


class Vitals:
    """Two moments shared by a worker's processes: make it before the fork.

    Monotonic times, which Linux and macOS count alike in all processes of a machine; 0 is never.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)

    @property
    def received_at(self) -> float:
        """When the consumer last received a task."""
        return float(struct.unpack_from("d", self._memory, 0)[0])

    @property
    def stopping_at(self) -> float:
        """When the worker was told to stop."""
        return float(struct.unpack_from("d", self._memory, 8)[0])

    def received(self) -> None:
        """Note that the consumer received a task."""
        struct.pack_into("d", self._memory, 0, time.monotonic())

    def stopping(self) -> None:
        """Note that the worker was told to stop."""
        struct.pack_into("d", self._memory, 8, time.monotonic())


@dataclass(slots=True, eq=False)
class _Turn:
    """Orders that were hinted together and run in turn; ``hinted``: those hinted again."""

    left: list[str]
    hinted: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)


class WorkerProcess:
    """What each process of a worker does beside running handlers.

    ``main_pid`` is the worker's main process: this one, or the parent of a prefork pool.
    ``parent_pid`` tells who this process's parent is now.
    """

    def __init__(
        self,
        kernel: Kernel,
        broker: Mirror,
        vitals: Vitals,
        main_pid: int,
        patience: Patience = PATIENCE,
        parent_pid: Callable[[], int] = os.getppid,
    ) -> None:
        self.kernel = kernel
        self.broker = broker
        self.vitals = vitals
        self.main_pid = main_pid
        self.patience = patience
        self._parent_pid = parent_pid
        self.dispatcher = Dispatcher(kernel, broker, beat=self.beat)
        self._forked = main_pid != os.getpid()
        self._busy_at = time.monotonic()
        self._watched_at = 0.0
        self._stuck_since: float | None = None
        self._turns: list[_Turn] = []

    def start(self) -> None:
        """Start the dispatcher; call it after the fork."""
        self.dispatcher.start()

    def execute(self, order_ids: Sequence[str]) -> None:
        """Run hinted orders in turn; wake, hint or mirror as the end of each demands."""
        turn = _Turn(list(order_ids))
        self._turns.append(turn)
        try:
            with self.dispatcher.desk.first_attempts() as first_attempts:
                for end in execute_each(self.kernel, order_ids, first_attempts):
                    self._follow(end, first_attempts, turn)
        except DBAPIError as error:  # nothing was claimed, or the lease will run out
            log.warning("left to the sweep: %s", error.orig, extra={"order_ids": turn.left})
        finally:
            self._turns.remove(turn)
            self._busy_at = time.monotonic()

    def _follow(self, end: RunEnd, first_attempts: FirstAttempts, turn: "_Turn") -> None:
        """Wake the dispatcher, hint or mirror, as the end of a run demands."""
        turn.left.remove(end.order_id)
        if end.owed is None:
            first_attempts.release()
        elif not first_attempts.send(end.owed):
            self.dispatcher.wake()
        if end.outcome is not None:
            self.broker.finished(end.order_id, end.outcome)
        elif end.again_in is not None and end.order_id not in turn.hinted:
            self.dispatcher.hint_later(end.order_id, end.again_in)

    def _hint_the_rest(self) -> None:
        """Hint orders whose neighbour takes long: another process may be free."""
        for turn in list(self._turns):
            if not turn.hinted and time.monotonic() - turn.began > self.patience.neighbour:
                running = {order_id for order_id, _ in list(self.kernel.running)}
                turn.hinted = [one for one in turn.left if one not in running]
                self.broker.hint(turn.hinted)

    def stop(self) -> None:
        """Let callbacks in flight finish; claim no more."""
        self.kernel.stopping.set()
        self.dispatcher.stop(self.kernel.settings.callback_timeout)
        self.kernel.tracer.flush()

    def beat(self) -> None:
        """Look after the process, once per dispatcher round."""
        self.broker.running(list(self.kernel.running.values()))
        self._hint_the_rest()
        if self._forked and self._parent_pid() != self.main_pid:
            log.error("the worker's main process is gone; ending this one")
            self._abandon()
        if self.vitals.stopping_at:
            self._wind_down(time.monotonic() - self.vitals.stopping_at)
        elif time.monotonic() - self._watched_at > self.patience.watch:
            self._watched_at = time.monotonic()
            self._watch()

    def _wind_down(self, seconds: float) -> None:
        grace = self.kernel.settings.shutdown_grace_seconds
        if seconds > grace:
            self.kernel.stopping.set()
        if seconds > grace + LAST_CALL_SECONDS and self.kernel.running:
            self._abandon()

    def _abandon(self) -> None:
        """Hand back what runs and end this process at once; the fence stops a late handler."""
        for run in list(self.kernel.running.values()):
            log.warning("handed back in mid-run", extra={"order_id": run.order_id})
            leave(self.kernel, run.order_id, run.number, Exit(Why.STOPPING))
        os.kill(os.getpid(), signal.SIGKILL)

    def _watch(self) -> None:
        """End a worker whose consumer has stopped although orders and hints are waiting."""
        now = time.monotonic()
        idle_since = max(self.vitals.received_at, self._busy_at)
        if self.kernel.running or now - idle_since < self.patience.stuck or not self._work_waits():
            self._stuck_since = None
            return
        self._stuck_since = self._stuck_since or now
        if now - self._stuck_since > self.patience.stuck:
            log.critical("orders and hints wait, nothing is received: ending the worker")
            os.kill(self.main_pid, signal.SIGKILL)

    def _work_waits(self) -> bool:
        return waiting_longest(self.kernel) > self.patience.stuck and bool(self.broker.backlog())
