"""The background part of a worker process: sends callbacks, keeps leases alive, sweeps.

One thread that runs a loop over services, and a bounded pool of sender threads. Started after the
fork; nothing of it runs in a prefork parent.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

from sqlalchemy import select

from kernel.db.errors import DATABASE_ERRORS, driver_error
from kernel.db.tables.operating.bulk import JOBS
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import Asked
from kernel.delivery.release import release_claims
from kernel.insight import process_metrics
from kernel.orders.transitions import RunEnd
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import KEPT_SINCE, Job, before
from kernel.worker.maintenance.known_tags import KnownTags
from kernel.worker.maintenance.rescue import SeenLeases
from kernel.worker.maintenance.sweep import sweep_jobs
from kernel.worker.pool.subreaper import kill_descendants
from kernel.worker.row_queue import RowQueue
from kernel.worker.services.bulk import BulkActs, tell
from kernel.worker.services.health import Health
from kernel.worker.services.heartbeat import HeartbeatKeeper
from kernel.worker.services.hint_timers import HintTimers
from kernel.worker.services.housekeeping import Housekeeping
from kernel.worker.services.lease_keeper import LeaseKeeper
from kernel.worker.services.loop import Loop, Pace
from kernel.worker.services.pruning import Pruning
from kernel.worker.services.queue_watch import QueueWatch
from kernel.worker.services.recorder import Recorder
from kernel.worker.services.sending import Sending
from kernel.worker.services.service import Periodic, Service

log = logging.getLogger(__name__)

# A process that is to end at once waits for answers this long: its orders wait as well.
SETTLE_SECONDS = 0.5
# From one look for idle connections to the next.
SWEEP_KEPT_SECONDS = 5.0
_BULK_ACT = select(JOBS.c.id)
_OLD_ORDER = before(ORDERS.c.finished_at, KEPT_SINCE)


class Dispatcher:
    """Delivers, renews and sweeps for one process, until told to stop.

    ``threads``: how many callbacks are sent at once, by default KERNEL_CALLBACK_THREADS.
    ``works`` is False where no handlers run: such a process does not vouch for their tags.
    ``beat`` is called about once a second, and when `look_now` is.
    """

    def __init__(
        self,
        kernel: Kernel,
        hints: Hints,
        *,
        threads: int | None = None,
        works: bool = True,
        beat: Callable[[], None] | None = None,
        pace: Pace | None = None,
    ) -> None:
        pace, health = pace or Pace(), Health()
        self.loop = Loop(health, pace)
        self._kernel, self._hints = kernel, hints
        self.recorder = Recorder(
            kernel,
            self.loop.wake,
            seconds=pace.record_seconds,
            together=pace.record_together,
        )
        self.sending = Sending(
            kernel,
            self.recorder,
            self.loop.wake,
            threads=threads or kernel.settings.callback_threads,
            seconds=pace.idle_seconds,
            batch=pace.claim_batch,
        )
        self.desk = self.sending.desk
        self.timers = HintTimers(hints, self.loop.wake)
        self.rows = RowQueue(kernel, hints)
        self.queue_watch = QueueWatch(kernel, self.rows.want, seconds=pace.idle_seconds)
        # What a person asks of this process, after each heartbeat: see `WorkerProcess`.
        self.on_asked: Callable[[Asked | None], None] = lambda _: None
        self._watch = Periodic("watch", beat or _nothing, pace.idle_seconds, lasts=True)
        kind = "worker" if works else "dispatcher"
        self.heartbeat = HeartbeatKeeper(kernel, kind, self.desk, self._obey)
        self.loop.services = [
            *([self._watch] if beat else []),
            self.recorder,
            LeaseKeeper(kernel, self.tell, seconds=pace.idle_seconds, before=kill_descendants),
            *([_tags(kernel)] if works else []),
            self.heartbeat,  # before it claims callbacks: others see by its row when it is gone
            self.sending,
            self.timers,
            self.queue_watch,
            *_housekeeping(kernel, hints, self.wake, health, self.timers),
            _kept_connections(kernel),
            _metrics(kernel),
        ]
        self._thread = threading.Thread(target=self.run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Start the background thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that an outcome was committed: its delivery is due."""
        self.sending.wake()

    def look_now(self) -> None:
        """Have ``beat`` called soon. For any thread."""
        self._watch.hurry()
        self.loop.wake()

    def hint_later(self, order_id: str, seconds: float) -> None:
        """Hint ``order_id`` in ``seconds``. Best effort: the sweep knows the row."""
        self.timers.put(order_id, seconds)

    def tell(self, end: RunEnd) -> None:
        """Pass on what became of an order whose end was written outside its run."""
        if end.outcome is not None:
            self._hints.finished(end.order_id, end.outcome)
            self.wake()
        elif end.again_in is not None:
            self.hint_later(end.order_id, end.again_in)
        if end.woken:
            self._hints.hint(end.woken)
        if end.parent is not None:
            self.tell(end.parent)

    def _obey(self, asked: Asked | None) -> None:
        self.sending.rest(asked is Asked.DRAIN)
        self.on_asked(asked)

    @property
    def is_idle(self) -> bool:
        """Whether no callback is under way, and all that were are recorded."""
        return self.sending.is_idle and self.recorder.is_empty

    def close(self) -> None:
        """Claim no more callbacks; those under way go on. For any thread."""
        self.sending.close()
        self.recorder.hurry()

    def settle(self) -> None:
        """Let callbacks in flight finish for a moment. From the dispatcher's thread.

        Before this process ends at once: those of receivers that answer are not sent again.
        """
        self.close()
        self.loop.wait_until(lambda: self.sending.is_idle, SETTLE_SECONDS)

    def forget(self) -> None:
        """Record attempts, and delete the row of this process. From the dispatcher's thread.

        It ends at once: callbacks in flight are due again. Orders that it has handed back are
        hinted.
        """
        self.timers.run()
        self.sending.interrupt()
        try:
            self.recorder.run()
            release_claims(self._kernel, self._kernel.runner)
            self.heartbeat.leave()
        except DATABASE_ERRORS as error:
            log.warning("the row of this process stays for a while: %s", driver_error(error))

    def stop(self, timeout: float) -> bool:
        """Claim nothing more, let what is in flight finish and be recorded; True if it was.

        Waits for ``timeout`` seconds at the most; what is left goes on in the background.
        """
        self.close()
        self.loop.stop()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Loop until stopped and all that was sent is recorded. No database error ends it."""
        with self.sending:
            # A sender hands its attempt to the recorder before it counts as idle.
            self.loop.run(lambda: self.is_idle)


def _nothing() -> None:
    pass


def _tags(kernel: Kernel) -> Service:
    """Return what vouches for the tags of this process; its first turn comes before any sweep."""
    seconds = kernel.settings.sweep_seconds
    return Periodic("tags of this process", KnownTags(kernel).note, seconds)


def _housekeeping(
    kernel: Kernel, hints: Hints, wake: Callable[[], None], health: Health, timers: HintTimers
) -> list[Service]:
    lease, pruning = kernel.settings.lease_seconds, Pruning(kernel)
    jobs = sweep_jobs(
        hints,
        may_rescue=lambda: health.has_reached_database_for(lease),
        leases=SeenLeases(lease),
    )
    bulk = BulkActs(kernel, partial(tell, hints, wake))
    jobs.append(Job("start of bulk acts", bulk.begin, (_BULK_ACT,)))
    jobs.append(Job("start of pruning", pruning.begin, (_OLD_ORDER,)))
    return [Housekeeping(kernel, jobs, hints, wake, health, timers.put), bulk, pruning]


def _kept_connections(kernel: Kernel) -> Service:
    """Return what closes idle connections to receivers while no callback is sent."""

    def sweep() -> None:
        kernel.transport.sweep()  # made with its first use, in this thread

    return Periodic("kept connections", sweep, SWEEP_KEPT_SECONDS)


def _metrics(kernel: Kernel) -> Service:
    """Return what writes the counts of this process, every few seconds and at the end."""
    return Periodic(
        "metrics",
        lambda: process_metrics.write(kernel),
        process_metrics.WRITE_SECONDS,
        once_more=True,
    )
