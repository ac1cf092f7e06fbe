"""A worker process from the inside: its dispatcher, its end, and the watch over its parent.

Knows nothing of Celery. `kernel.worker.celery_app` tells it what Celery does; it believes the rows.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kernel.db.errors import DATABASE_ERRORS, driver_error
from kernel.db.tables.service import Asked
from kernel.delivery.first_attempt import FirstAttempts
from kernel.handlers import Run
from kernel.orders.decide import Exit, Why
from kernel.orders.due import HINTS, due_orders
from kernel.orders.gates.turns import DueOrder
from kernel.orders.transitions import RunEnd
from kernel.runs.execute import execute_each
from kernel.runs.leases import leave_behind
from kernel.runtime.fresh_handlers import keep_fresh
from kernel.runtime.hints import MORE, Hints
from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.foreign_hints import ForeignHints
from kernel.worker.maintenance.due_hints import BACKLOG
from kernel.worker.pool.main_watch import MainWatch, Patience
from kernel.worker.pool.subreaper import kill_descendants
from kernel.worker.pool.vitals import IN_ORDER, Vitals
from kernel.worker.services.service import Service
from kernel.worker.services.takeover import Neighbours, Takeover

log = logging.getLogger(__name__)

# A process that ends at once waits so long for the broker, which is to tell others what is due.
HINTED_SECONDS = 0.5
# After the grace time a handler has this long to reach a checkpoint before its process ends.
LAST_CALL_SECONDS = 2.0


PATIENCE = Patience()
# How often a process takes orders from the rows for one message. Celery counts messages, and
# replaces a process after some thousands: it is to have its turn, too.
TURNS = 10
# What a drained host is hinted is hinted again after this: its consumer has left the queue by then.
LEFT_SECONDS = 3.0


class Mirror(Hints, Protocol):
    """Hints, and where progress is shown; see `kernel.worker.broker.Broker`."""

    def running(self, runs: list[Run]) -> None:
        """Show how far running orders are."""
        ...

    def flush(self, seconds: float) -> bool:
        """Wait until all is sent, for a while; True if it is."""
        ...


@dataclass(slots=True, eq=False)
class _Turn:
    """Orders that run in turn; ``hinted``: those hinted again.

    ``taken``: they were taken from the rows, not hinted; what is left is found there again.
    """

    left: list[str]
    taken: Sequence[DueOrder] = ()
    hinted: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def keeps(self, end: RunEnd) -> bool:
        """Tell whether the order need not be hinted to be run again."""
        return end.order_id in self.hinted or bool(self.taken and not end.again_in)


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
        self.dispatcher.on_asked = self._obey
        self.dispatcher.heartbeat.pool = vitals.pool
        self.dispatcher.sending.nothing_due = vitals.nothing_due
        self._forked = main_pid != os.getpid()
        # First: what a dead process has left waits for nothing else that a replacement begins with.
        told = (self.dispatcher.tell, self._after_takeover)
        self._takeover = Takeover(kernel, vitals, *told, seconds=patience.takeover)
        heirs: list[Service] = [Neighbours(kernel, *told, seconds=patience.takeover)]
        if self._forked:
            heirs.insert(0, self._takeover)
            self.dispatcher.heartbeat.main_pid = main_pid
        self.dispatcher.loop.services = [*heirs, *self.dispatcher.loop.services]
        self._main_ended = False
        self._main = MainWatch(kernel, vitals, main_pid, patience, broker.backlog)
        self._turns: list[_Turn] = []
        self._foreign = ForeignHints(kernel)

    def _after_takeover(self) -> None:
        """Have callbacks looked for, and hint what is due: a dead process has sent no hints."""
        self.dispatcher.wake()
        backlog = self.broker.backlog()
        if backlog is not None and backlog < BACKLOG:
            self.broker.hint(due_orders(self.kernel, HINTS))

    def start(self) -> None:
        """Start the dispatcher; call it after the fork."""
        keep_fresh(self.kernel)
        self.dispatcher.start()
        if self._forked:
            self.vitals.line.follow(self._on_cleared, self._on_main_ended)

    def _on_cleared(self) -> None:
        self._takeover.hurry()
        self.dispatcher.loop.wake()

    def _on_main_ended(self) -> None:
        self._main_ended = True
        self.dispatcher.look_now()

    def execute(self, order_ids: Sequence[str]) -> None:
        """Run hinted orders in turn, or, while orders wait, those whose turn it is.

        Then a message is no more than an occasion: its orders wait with the others in the rows.
        """
        if self._is_quiet():
            for one in order_ids:
                self.dispatcher.hint_later(one, LEFT_SECONDS)
            return
        rows, hinted = self.dispatcher.rows, [one for one in order_ids if one != MORE]
        if len(hinted) < len(order_ids):
            rows.want()
        self.dispatcher.queue_watch.wanted = True
        for _ in range(TURNS):
            if taken := self._taken():
                turn = _Turn([one.id for one in taken], taken)
                self._execute(turn)
                if len(turn.left) == len(taken):  # others have them all, or the database is away
                    rows.wanted = False
            elif hinted:
                self._execute(turn := _Turn(hinted))
                self._foreign.look(turn.left)
                hinted = []
            else:
                return
        if rows.wanted or hinted:
            self.broker.hint([MORE, *hinted])

    def _is_quiet(self) -> bool:
        """Tell whether the host is drained: then others take what is hinted here."""
        try:
            return self.vitals.is_quiet or self.dispatcher.heartbeat.is_quiet()
        except DATABASE_ERRORS as error:
            log.warning("whether this host is drained is not known: %s", driver_error(error))
            return False

    def _obey(self, asked: Asked | None) -> None:
        """Do what a person asks of this process, in the dispatcher's thread."""
        if asked is Asked.TERMINATE:
            log.warning("terminated by a person; see the audit trail")
            self._abandon(Why.TERMINATED)
        self.vitals.keep_quiet(asked is Asked.DRAIN)

    def _taken(self) -> list[DueOrder]:
        """Take orders from the rows if some wait; none while this process is to end."""
        if self.kernel.stopping.is_set() or self.vitals.stopping_at or self.vitals.is_quiet:
            return []
        try:
            return self.dispatcher.rows.take()
        except DATABASE_ERRORS as error:
            log.warning("left to the sweep: %s", driver_error(error))
            return []

    def _execute(self, turn: "_Turn") -> None:
        """Run orders in turn; wake, hint or mirror as the end of each demands."""
        order_ids = list(turn.left)
        self._turns.append(turn)
        try:
            with (
                self.vitals.consumer.busy.held(),
                self.dispatcher.desk.first_attempts() as first_attempts,
            ):
                for end in execute_each(self.kernel, order_ids, first_attempts):
                    self._follow(end, first_attempts, turn)
        except DATABASE_ERRORS as error:  # nothing was claimed, or the lease will run out
            log.warning(
                "left to the sweep: %s", driver_error(error), extra={"order_ids": turn.left}
            )
        finally:
            self._turns.remove(turn)
            self._main.busy_at = time.monotonic()

    def _follow(self, end: RunEnd, first_attempts: FirstAttempts, turn: "_Turn") -> None:
        """Wake the dispatcher, hint or mirror, as the end of a run demands."""
        if end.order_id not in turn.left:  # a limit lets it go on, or it was cancelled as a child
            self.dispatcher.tell(end)
            return
        turn.left.remove(end.order_id)
        self.dispatcher.rows.ran(turn.taken, end.order_id)
        if end.makes_room:
            self.dispatcher.rows.want()
        if end.owed is None:
            first_attempts.release(end.order_id)
        elif not first_attempts.send(end.owed):
            self.dispatcher.wake()
        if end.outcome is not None:
            self.broker.finished(end.order_id, end.outcome)
        elif end.again_in is not None and not turn.keeps(end):
            self.dispatcher.hint_later(end.order_id, end.again_in)
        if end.woken:
            self.broker.hint(end.woken)
        if end.parent is not None:
            self.dispatcher.tell(end.parent)

    def _hint_the_rest(self) -> None:
        """Hint orders whose neighbour takes long: another process may be free."""
        late = time.monotonic() - self.patience.neighbour
        for turn in list(self._turns):
            if not turn.hinted and turn.began < late:
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
        if self._main_ended or (self._forked and self._parent_pid() != self.main_pid):
            log.error("the worker's main process is gone; ending this one")
            self._abandon(Why.DIED)
        if self.vitals.stopping_at:
            self._wind_down(time.monotonic() - self.vitals.stopping_at)
        else:
            self._main.look()

    def _wind_down(self, seconds: float) -> None:
        grace = self.kernel.settings.shutdown_grace_seconds
        if seconds > grace:
            self.kernel.stopping.set()
            self.dispatcher.close()
        late = seconds - grace - LAST_CALL_SECONDS
        waits = self.kernel.settings.callback_timeout  # callbacks under way are recorded before
        if late > 0 and self.kernel.running and (self.dispatcher.is_idle or late > waits):
            self._abandon()

    def _abandon(self, why: Why = Why.STOPPING) -> None:
        """Hand back what runs and end this process at once, with all that its handlers started.

        The fence stops a late handler. The row goes: nothing says that this process runs them. To
        the pool it is one process less, and no error.
        """
        kill_descendants()
        self.dispatcher.settle()
        for run in list(self.kernel.running.values()):
            log.warning("handed back in mid-run", extra={"order_id": run.order_id})
            exit_ = Exit(Why.NOT_BEGUN if run.beside else why)
            self.dispatcher.tell(leave_behind(self.kernel, run, exit_))
        self.dispatcher.forget()
        self.broker.flush(HINTED_SECONDS)
        os._exit(IN_ORDER if self._forked or why is Why.TERMINATED else 0)
