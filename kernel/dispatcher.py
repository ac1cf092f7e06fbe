"""The background part of a worker process: sends callbacks, keeps leases alive, sweeps.

One thread and a bounded pool of sender threads. It wakes when this process has committed an
outcome, else once a second. Started after the fork; nothing of it runs in a prefork parent.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from sqlalchemy.exc import DBAPIError

from kernel.database import is_passing
from kernel.deliver import (
    BATCH,
    DueDelivery,
    FinishedAttempt,
    attempt,
    claim_due,
    due_lanes,
    record,
)
from kernel.fence import hand_back, renew_leases
from kernel.handlers import Run
from kernel.origins import Origins, share
from kernel.redelivery import hold_paused
from kernel.runtime import Kernel
from kernel.states import Outcome
from kernel.sweep import HINTS, Swept, due_orders, note_tags, sweep, take_turn

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
RECORD_SECONDS = 0.02
BACKLOG = 2 * HINTS
T = TypeVar("T")


class Hints(Protocol):
    """Where hints go; see `kernel.tasks.Broker`."""

    def hint(self, order_ids: Sequence[str]) -> None:
        """Hint that these orders are due. Never waits."""
        ...

    def backlog(self) -> int | None:
        """Return how many hints wait in the broker, or None when it cannot be asked."""
        ...

    def finished(self, order_id: str, outcome: Outcome) -> None:
        """Show how an order ended, to whoever follows results in the broker."""
        ...


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
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._ended: queue.SimpleQueue[tuple[DueDelivery, FinishedAttempt | None]] = (
            queue.SimpleQueue()
        )
        self._later: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()
        # The rest belongs to the dispatcher's thread alone.
        self._origins = Origins(self.threads)
        self._in_flight = 0
        self._unrecorded: list[FinishedAttempt] = []
        self._record_at = 0.0
        self._timers: list[tuple[float, str]] = []
        # Since when the database was reached without a break (monotonic), and the last sweep look.
        self._reached_since: float | None = None
        self._looked = 0.0
        self._thread = threading.Thread(target=self.run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Start the background thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that an outcome was committed: its delivery is due."""
        self._wake.set()

    def hint_later(self, order_id: str, seconds: float) -> None:
        """Hint ``order_id`` in so many seconds. Best effort: the sweep knows the row."""
        self._later.put((time.monotonic() + seconds, order_id))
        self._wake.set()

    def stop(self, timeout: float) -> bool:
        """Claim nothing more, let what is in flight finish and be written; True if it did."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def run(self) -> None:
        """Loop until stopped; survives whatever the database does."""
        with ThreadPoolExecutor(self.threads, thread_name_prefix="sender") as senders:
            while not (self._stop.is_set() and self._in_flight == 0 and not self._unrecorded):
                try:
                    busy = self._round(senders)
                    if self._reached_since is None:
                        self._reached_since = time.monotonic()
                except Exception as error:  # noqa: BLE001 - no round may end the loop
                    busy = self._failed(error)
                self._wait(busy)

    def _round(self, senders: ThreadPoolExecutor) -> bool:
        """Do what is due now; True when more may be due at once."""
        self._beat()
        self._record()
        self._renew()
        if self._stop.is_set():
            return False
        wanted = self._claim(senders)
        self._hint_timers()
        self._sweep()
        return wanted

    def _failed(self, error: Exception) -> bool:
        """Note a failed round. A busy SQLite file is no outage: nobody else could have written."""
        self._looked = time.monotonic()
        self._record_at = self._looked + IDLE_SECONDS
        if isinstance(error, DBAPIError) and is_passing(error.orig):
            if self.kernel.engine.dialect.name != "sqlite":
                self._reached_since = None
            log.warning("database: %s", error.orig)
        else:
            self._reached_since = None
            log.exception("a dispatcher round failed")
        return False

    def _wait(self, busy: bool) -> None:
        now = time.monotonic()
        moments = [now + IDLE_SECONDS]
        if self._unrecorded:
            moments.append(self._record_at)
        if self._timers:
            moments.append(self._timers[0][0])
        if not busy and self._wake.wait(max(0.0, min(moments) - now)):
            self._wake.clear()

    def _record(self) -> None:
        """Write what has finished, at most every 20 ms: one commit for many attempts."""
        for due, one in _drain(self._ended):
            self._in_flight -= 1
            reason = "protocol" if one is None else one.reason
            self._origins.end(due.origin, reason, time.monotonic())
            if one is not None:
                self._unrecorded.append(one)
        if self._unrecorded and time.monotonic() >= self._record_at:
            record(self.kernel, self._unrecorded)
            self._unrecorded = []
            self._record_at = time.monotonic() + RECORD_SECONDS

    def _claim(self, senders: ThreadPoolExecutor) -> bool:
        """Claim what there is room for and have it sent; True when a lane may hold more."""
        if self._origins.free <= 0:
            return False
        shares = share(due_lanes(self.kernel), self._origins, BATCH, time.monotonic())
        claimed = claim_due(self.kernel, shares) if shares else []
        for due in claimed:
            self._in_flight += 1
            self._origins.begin(due.origin)
            senders.submit(self._send, due)
        return len(claimed) == sum(shares.values()) > 0

    def _send(self, due: DueDelivery) -> None:
        finished = None
        try:
            finished = attempt(self.kernel, due)
        except Exception:  # a bug of ours: the claim runs out and the delivery is due again
            log.exception("sending failed", extra={"delivery_id": due.id})
        self._ended.put((due, finished))
        self._wake.set()

    def _renew(self) -> None:
        now = time.monotonic()
        for run in list(self.kernel.owed.values()):
            hand_back(self.kernel, run, 0.0)
        runs = list(self.kernel.running.values())
        for run in runs:
            if now - run.started > run.time_limit:
                self._overdue(run)
        third = self.kernel.settings.lease_seconds / 3
        if old := [run for run in runs if now - run.renewed > third and not run.lost]:
            renew_leases(self.kernel, old, self.kernel.clock.now())

    def _hint_timers(self) -> None:
        now = time.monotonic()
        self._timers = sorted([*self._timers, *_drain(self._later)])
        if due := [timer for timer in self._timers if timer[0] <= now]:
            self._timers = self._timers[len(due) :]
            self.hints.hint([order_id for _, order_id in due])

    def _sweep(self) -> None:
        if time.monotonic() - self._looked < min(self.kernel.settings.sweep_seconds, IDLE_SECONDS):
            return
        self._looked = time.monotonic()
        if take_turn(self.kernel):
            self.sweep_once()

    def sweep_once(self) -> Swept:
        """Sweep now, hint what is due while the queue is short, and return what was done."""
        reached = self._reached_since
        lease = self.kernel.settings.lease_seconds
        rescue = reached is not None and time.monotonic() - reached >= lease
        backlog = self.hints.backlog()
        if backlog is None or backlog < BACKLOG:
            self.hints.hint(due_orders(self.kernel, HINTS))
        if self._works:
            note_tags(self.kernel)
        hold_paused(self.kernel)
        swept = sweep(self.kernel, rescue=rescue)
        self.hints.hint(swept.rescued)
        for order_id, outcome in swept.failed.items():
            self.hints.finished(order_id, outcome)
            self._wake.set()
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
