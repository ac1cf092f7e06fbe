"""The Celery app of a worker: its task, and what Celery's signals mean for a worker process.

A message carries orders' ids and nothing else (`kernel.worker.untrusted_messages`); losing it,
doubling it or forging it changes nothing, because `execute` believes the rows.
"""

import atexit
import gc
import logging
import os
import time
from contextlib import suppress
from typing import Any

from billiard.util import get_pdeathsig
from celery import Celery, bootsteps, signals
from celery.concurrency import get_implementation

from kernel.config import logging as kernel_logging
from kernel.config.brokers.celeryconfig import TASK
from kernel.errors import ConfigurationError, Unavailable
from kernel.runtime import startup
from kernel.runtime.fresh_handlers import note_sources
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import Broker, make_celery
from kernel.worker.pool.consumer_steps import add_steps
from kernel.worker.pool.consumer_watch import ConsumerWatch, SuccessorLine
from kernel.worker.pool.main_line import Bell
from kernel.worker.pool.subreaper import MARK, Subreaper, outlive_main
from kernel.worker.pool.vitals import IN_ORDER, Vitals
from kernel.worker.priority import step_back
from kernel.worker.process import WorkerProcess
from kernel.worker.row_queue import TOGETHER

log = logging.getLogger(__name__)

# How long a dead pool process may go unnoticed where nothing tells of its end.
REPLACE_SECONDS = 0.5
# Until a database that was away at the start is asked again.
WAIT_SECONDS = 1.0


def make_worker(kernel: Kernel) -> Celery:
    """Build the Celery app that ``celery worker`` runs, and follow its life by signals.

    In a prefork pool everything starts in the children, after the fork; in other pools, in the
    worker's only process.
    """
    note_sources(kernel)
    app = make_celery(kernel)
    life = _WorkerLife(kernel)
    app.steps["worker"].add(_replacements(life))
    add_steps(app, life.vitals)

    @app.task(
        name=TASK,
        shared=False,
        ignore_result=True,
        Request="kernel.worker.pool.lost_processes:HintRequest",
    )  # type: ignore[untyped-decorator]
    def execute_orders(*order_ids: str) -> None:
        life.process().execute(list(order_ids[:TOGETHER]))

    # Celery's own tasks run any other one, with time limits and due times that a message names.
    app.finalize()
    for name in app.tasks.keys() - {TASK}:
        app.tasks.pop(name)

    signals.setup_logging.connect(life.on_logging, weak=False)
    signals.celeryd_init.connect(life.on_begin, weak=False)
    signals.worker_init.connect(life.on_init, weak=False)
    signals.worker_process_init.connect(life.on_process_init, weak=False)
    signals.worker_ready.connect(life.on_ready, weak=False)
    signals.task_received.connect(life.on_received, weak=False)
    signals.worker_shutting_down.connect(life.on_shutting_down, weak=False)
    signals.worker_process_shutdown.connect(life.on_process_shutdown, weak=False)
    signals.worker_shutdown.connect(life.on_process_shutdown, weak=False)
    return app


def _replacements(life: "_WorkerLife") -> type:
    class Replacements(bootsteps.StartStopStep):  # type: ignore[misc]
        """Has dead pool processes replaced at once: before what they ran is hinted again.

        Celery looks when a process closes its files. One that is killed may not have ended by then,
        and Celery looks again every five seconds only.
        """

        requires = ("celery.worker.components:Pool",)

        def __init__(self, worker: Any, **options: Any) -> None:
            super().__init__(worker, **options)
            self._timer: Any = None

        def include_if(self, worker: Any) -> bool:
            """Take part where there are pool processes and an event loop to look after them."""
            return bool(worker.use_eventloop) and _is_prefork(worker.pool_cls)

        def register_with_event_loop(self, worker: Any, hub: Any) -> None:
            """Begin to look; called again when the broker is back."""
            if self._timer is not None:
                self._timer.cancel()
            if life.is_told_of_ends:
                life.bell.answer(hub.add_reader, worker.pool.maintain_pool)
            else:
                self._timer = hub.call_repeatedly(REPLACE_SECONDS, worker.pool.maintain_pool)

    return Replacements


def _make_forks_cheap() -> None:
    """Do before the pool's first fork what each fork would do again: it keeps the consumer waiting.

    Each pool process loads a parser of C for a word with the system. Celery collects garbage before
    each fork; what is loaded by now is none.
    """
    with suppress(OSError):
        get_pdeathsig()
    gc.freeze()


def _is_prefork(pool: type) -> bool:
    return pool.__module__.endswith("prefork")


class _WorkerLife:
    """What Celery's signals mean for a kernel's worker."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.vitals = Vitals(ConsumerWatch(SuccessorLine.taken_from(os.environ)))
        self.main_pid = os.getpid()
        self.bell = Bell()
        self._subreaper: Subreaper | None = None
        self._process: tuple[int, WorkerProcess] | None = None

    @property
    def is_told_of_ends(self) -> bool:
        """Whether the bell rings when a pool process has ended."""
        return self._subreaper is not None

    def process(self) -> WorkerProcess:
        """Return the part that belongs to this process, started with its first use."""
        if self._process is None or self._process[0] != os.getpid():
            broker = Broker(self.kernel)
            process = WorkerProcess(self.kernel, broker, self.vitals, self.main_pid)
            process.start()
            self._process = (os.getpid(), process)
        return self._process[1]

    def on_logging(self, loglevel: int | str | None = None, **_: Any) -> None:
        kernel_logging.configure(loglevel or self.kernel.settings.log_level)

    def on_begin(self, instance: Any, **_: Any) -> None:
        """Check what a worker needs, before Celery looks for the queues of its configuration."""
        # At its end it need not look through all that it has loaded for garbage.
        atexit.register(gc.freeze)
        try:
            for warning in self._checked():
                log.warning(warning)
            instance.app.conf.task_default_queue = self.kernel.one(Name).queue()
        # Celery swallows an Exception here: the worker would read a queue that is not ours.
        except ConfigurationError as error:
            raise SystemExit(f"kernel: {error}") from None
        except Exception as error:
            log.exception("the worker cannot start")
            raise SystemExit(f"kernel: {type(error).__name__}: {error}") from None

    def _checked(self) -> list[str]:
        """Return warnings; wait for the database, which names the queue and has all the work.

        Raises ConfigurationError.
        """
        waits = False
        while True:
            try:
                found = startup.check(self.kernel)
                startup.check_host(self.kernel, forks=True)
                return found
            except Unavailable as error:
                if not waits:
                    log.warning("%s; waiting for it", error)
                waits = True
                time.sleep(WAIT_SECONDS)  # nothing says when it is back

    def on_init(self, sender: Any, **_: Any) -> None:
        self.main_pid = os.getpid()
        step_back(self.kernel.settings.worker_nice)
        pool = get_implementation(sender.pool_cls)
        self.vitals.pool = pool.__module__.rpartition(".")[2]
        if _is_prefork(pool):
            subreaper = Subreaper(self.vitals, after=self.bell.ring)
            self._subreaper = subreaper if subreaper.begin() else None
            _make_forks_cheap()
        self.kernel.close()  # no connection of the parent survives into a child

    def on_process_init(self, **_: Any) -> None:
        try:
            if self._subreaper is not None:
                self._subreaper.take_place(self.kernel.runner)
            self.process()
            outlive_main()  # it listens now
        except Exception:  # Celery swallows it
            # Orders would run here whose leases are not renewed. The pool starts another process.
            log.critical("a process of the pool cannot start", exc_info=True)
            os._exit(IN_ORDER)

    def on_ready(self, sender: Any, **_: Any) -> None:
        if not _is_prefork(sender.pool.__class__):
            os.environ[MARK] = self.kernel.runner  # what handlers start tells by whom
            self.process()

    def on_received(self, **_: Any) -> None:
        self.vitals.received()

    def on_shutting_down(self, **_: Any) -> None:
        self.vitals.stopping()

    def on_process_shutdown(self, **_: Any) -> None:
        if self._process is not None and self._process[0] == os.getpid():
            self._process[1].stop()
