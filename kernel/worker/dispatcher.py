"""The background part of a worker process: sends callbacks, keeps leases alive, sweeps.

One thread and a bounded pool of sender threads. It wakes when this process has committed an
outcome, else once a second. Started after the fork; nothing of it runs in a prefork parent.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from kernel.db.errors import is_contention, is_passing
from kernel.delivery.attempt import FinishedAttempt, attempt
from kernel.delivery.claim import BATCH, DueDelivery, claim_due, due_lanes
from kernel.delivery.first_attempt import Desk
from kernel.delivery.pauses import hold_paused
from kernel.delivery.record import record
from kernel.delivery.slots import SenderSlots
from kernel.handlers import Run
from kernel.insight import minutes
from kernel.insight import process_metrics as metering
from kernel.insight.workers import Presence
from kernel.orders.decide import Exit, Why
from kernel.orders.due import HINTS, due_orders
from kernel.orders.transitions import RunEnd
from kernel.runs.leases import leave, renew_leases, retry_handbacks
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.job import Swept
from kernel.worker.maintenance.known_tags import note_tags
from kernel.worker.maintenance.prune import Pruning
from kernel.worker.maintenance.sweep import next_turn, sweep

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
ROUND_SECONDS = 0.02
# So long, or until there are so many, what came of callbacks waits for company. Those of a process
# that is killed meanwhile are sent again.
RECORD_SECONDS, RECORD_TOGETHER = 0.2, 10
BACKLOG = 2 * HINTS
# For how long an order must have been due to be hinted again: its hint is lost, or one of those
# that wait in the queue (True).
WAITING = {False: 1.0, True: 5.0}
T = TypeVar("T")


class Dispatcher:
    """Delivers, renews and sweeps for one process, until told to stop.

    ``overdue`` is called with a run that outlived its handler's time limit: it must end the
    process, for no thread can be stopped from outside. ``beat`` is called in every round.
    ``works`` is False where no handlers run: such a process does not vouch for their tags.
    """

    def __init__(
        self,
        kernel: Kernel,
        hints: Hints,
        *,
        threads: int | None = None,
        works: bool = True,
        overdue: Callable[[Run], None] | None = None,
        beat: Callable[[], None] | None = None,
    ) -> None:
        self.kernel = kernel
        self.hints = hints
        self.threads = threads or kernel.settings.callback_threads
        self._works = works
        self._overdue = overdue or _end_process
        self._beat = beat or (lambda: None)
        self._wake, self._stop = threading.Event(), threading.Event()
        self._ended: queue.SimpleQueue[FinishedAttempt] = queue.SimpleQueue()
        self._later: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()
        self._senders = ThreadPoolExecutor(self.threads, thread_name_prefix="sender")
        self.desk = Desk(
            kernel, SenderSlots(self.threads), lambda due: self._senders.submit(self._send, due)
        )
        self._unclaimed = threading.Event()  # something may be due that nobody has claimed
        self._gathering = False  # a time is set for the next record: no need to wake for more
        # The rest belongs to the dispatcher's thread alone.
        self._unrecorded: list[FinishedAttempt] = []
        self._round_at = self._look_at = self._record_at = self._sweep_at = 0.0
        self._timers: list[tuple[float, str]] = []
        # Since when the database was reached without a break (monotonic).
        self._reached_since: float | None = None
        self._presence: Presence | None = None
        self._noted, self._metered = 0.0, time.monotonic()
        self._pruning = Pruning(kernel)
        self._thread = threading.Thread(target=self.run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Start the background thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that an outcome was committed: its delivery is due."""
        self._unclaimed.set()
        self._wake.set()

    def hint_later(self, order_id: str, seconds: float) -> None:
        """Hint ``order_id`` in so many seconds. Best effort: the sweep knows the row."""
        self._later.put((time.monotonic() + seconds, order_id))
        self._wake.set()

    def stop(self, timeout: float) -> bool:
        """Claim nothing more, let what is in flight finish and be written; True if it did."""
        self.desk.close()
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Loop until stopped; survives whatever the database does."""
        self.desk.open()
        with self._senders:
            while not (self._stop.is_set() and self._is_written()):
                try:
                    busy = self._round()
                    if self._reached_since is None:
                        self._reached_since = time.monotonic()
                except Exception as error:  # noqa: BLE001 - no round may end the loop
                    busy = self._failed(error)
                self._wait(busy)
        self._leave()

    def _is_written(self) -> bool:
        """Whether all that was sent is recorded. A sender hands in before it leaves the desk."""
        return self.desk.is_idle and self._ended.empty() and not self._unrecorded

    def _round(self) -> bool:
        """Do what is due now; True when there is nothing to wait for."""
        self._round_at = time.monotonic()
        self._beat()
        self._record()
        self._renew()
        if self._stop.is_set():
            return self._is_written()
        wanted = self._claim()
        self._hint_timers()
        self._sweep()
        self._pruning.go_on()
        self._note()
        self._meter()
        return wanted

    def _failed(self, error: Exception) -> bool:
        """Note a failed round. Losing a deadlock or waiting for a lock is no outage."""
        self._record_at = self._sweep_at = time.monotonic() + IDLE_SECONDS
        if isinstance(error, DBAPIError) and is_passing(error.orig):
            if not is_contention(error.orig):
                self._reached_since = None
            log.warning("database: %s", error.orig)
        else:
            self._reached_since = None
            log.exception("a dispatcher round failed")
        return False

    def _wait(self, busy: bool) -> None:
        now = time.monotonic()
        record_at = self._record_at if self._unrecorded else now + IDLE_SECONDS
        timers = (moment for moment, _ in self._timers[:1])
        first = min([now + IDLE_SECONDS, record_at, self._pruning.due_at or record_at, *timers])
        if not busy and self._wake.wait(max(0.0, first - now)):
            # What happens together is dealt with together: one commit for many attempts.
            self._stop.wait(max(0.0, self._round_at + ROUND_SECONDS - time.monotonic()))
            self._wake.clear()

    def _record(self) -> None:
        """Write what has finished, once it has company: one commit for many attempts."""
        self._gathering = False  # before the look: who comes after it wakes us
        now, first = time.monotonic(), not self._unrecorded
        self._unrecorded += _drain(self._ended)
        if first:
            self._record_at = max(self._record_at, now + RECORD_SECONDS)
        early = RECORD_SECONDS if len(self._unrecorded) >= RECORD_TOGETHER else 0.0
        if self._unrecorded and (now >= self._record_at - early or self._stop.is_set()):
            record(self.kernel, self._unrecorded)
            self._unrecorded = []
        self._gathering = bool(self._unrecorded)

    def _claim(self) -> bool:
        """Claim what there is room for and have it sent; True when a lane may hold more."""
        now = time.monotonic()
        if self.desk.is_full or not (self._unclaimed.is_set() or now >= self._look_at):
            return False
        self._unclaimed.clear()
        self._look_at = now + IDLE_SECONDS  # another process may have died
        lanes = due_lanes(self.kernel)
        shares = self.desk.share(lanes, BATCH)
        found = claim_due(self.kernel, shares, self.desk.ahead())
        if more := self.desk.claimed(lanes, shares, found):
            self._unclaimed.set()
        return more

    def _send(self, due: DueDelivery) -> None:
        reason: str | None = "protocol"
        try:
            finished = attempt(self.kernel, due)
            self._ended.put(finished)
            reason = finished.reason
        except Exception:  # a bug of ours: the claim runs out and the delivery is due again
            log.exception("sending failed", extra={"delivery_id": due.id})
        if self.desk.end(due.origin, reason):
            self._unclaimed.set()
        enough = self._ended.qsize() >= RECORD_TOGETHER
        if enough or not self._gathering or self._unclaimed.is_set():
            self._wake.set()

    def _renew(self) -> None:
        now = time.monotonic()
        for end in retry_handbacks(self.kernel):
            self._tell(end)
        runs = list(self.kernel.running.values())
        for run in runs:
            if now - run.started > run.time_limit:
                leave(self.kernel, run.order_id, run.number, Exit(Why.TIMED_OUT))
                self._overdue(run)
        third = self.kernel.settings.lease_seconds / 3
        if old := [run for run in runs if now - run.renewed > third and not run.lost]:
            renew_leases(self.kernel, old, self.kernel.clock.now())

    def _tell(self, end: RunEnd) -> None:
        """Pass on what became of an order whose run was written late."""
        if end.outcome is not None:
            self.hints.finished(end.order_id, end.outcome)
            self.wake()
        elif end.again_in is not None:
            self.hint_later(end.order_id, end.again_in)

    def _hint_timers(self) -> None:
        now = time.monotonic()
        self._timers = sorted([*self._timers, *_drain(self._later)])
        if due := [timer for timer in self._timers if timer[0] <= now]:
            self._timers = self._timers[len(due) :]
            self.hints.hint([order_id for _, order_id in due])

    def _note(self) -> None:
        """Say what this process does, once per interval of sweeps."""
        now = time.monotonic()
        if self._noted and now - self._noted < self.kernel.settings.sweep_seconds:
            return
        self._noted = now
        moment = self.kernel.clock.now()
        if self._presence is None:
            self._presence = Presence("worker" if self._works else "dispatcher", moment)
        running, breakers = (
            [order_id for order_id, _ in list(self.kernel.running)],
            self.desk.breakers(),
        )
        with self.kernel.write_session() as session:
            self._presence.note(session, moment, running, *breakers)

    def _meter(self) -> None:
        """Write what this process has counted, every few seconds."""
        if time.monotonic() - self._metered > metering.WRITE_SECONDS:
            self._metered = time.monotonic()
            metering.write(self.kernel)

    def _leave(self) -> None:
        """Write the last counts, and say that this process ends."""
        if self._presence is None:
            return
        try:
            metering.write(self.kernel)
            with self.kernel.write_session() as session:
                self._presence.leave(session)
        except DBAPIError as error:  # the sweep forgets it
            log.debug("left without saying so: %s", error.orig)

    def _sweep(self) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + IDLE_SECONDS  # should this look fail
        turn_in = next_turn(self.kernel)
        self._sweep_at = time.monotonic() + (turn_in or self.kernel.settings.sweep_seconds)
        if not turn_in:
            self.sweep_once()

    def sweep_once(self) -> Swept:
        """Sweep now, hint what is due while the queue is short, and return what was done."""
        reached = self._reached_since
        lease = self.kernel.settings.lease_seconds
        rescue = reached is not None and time.monotonic() - reached >= lease
        backlog = self.hints.backlog()
        if backlog is None or backlog < BACKLOG:
            self.hints.hint(due_orders(self.kernel, HINTS, waiting=WAITING[bool(backlog)]))
        if self._works:
            note_tags(self.kernel)
        hold_paused(self.kernel)
        swept = sweep(self.kernel, rescue=rescue)
        self._pruning.begin()
        self.hints.hint(swept.rescued)
        for order_id, outcome in swept.failed.items():
            self.hints.finished(order_id, outcome)
            self.wake()
        minutes.write(self.kernel)
        return swept


def _drain(source: "queue.SimpleQueue[T]") -> Iterator[T]:
    while True:
        try:
            yield source.get_nowait()
        except queue.Empty:
            return


def _end_process(run: Run) -> None:
    log.error("time limit exceeded; ending the process", extra={"order_id": run.order_id})
    os.kill(os.getpid(), 9)
