"""The Celery app of a worker: its task, and what Celery's signals mean for a worker process.

A message carries orders' ids and nothing else; losing it, doubling it or forging it changes
nothing, because `execute` believes the rows.
"""

import logging
import os
from typing import Any, TypeGuard

from celery import Celery, signals

from kernel.config import logging as kernel_logging
from kernel.config.celeryconfig import TASK
from kernel.errors import ConfigurationError, Unavailable
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import TOGETHER, Broker, make_celery
from kernel.worker.priority import step_back
from kernel.worker.process import Vitals, WorkerProcess

log = logging.getLogger(__name__)

MAX_ID = 64


def make_worker(kernel: Kernel) -> Celery:
    """Build the Celery app that ``celery worker`` runs, and follow its life by signals.

    In a prefork pool everything starts in the children, after the fork; in other pools, in the
    worker's only process.
    """
    app = make_celery(kernel)
    life = _WorkerLife(kernel)

    @app.task(
        name=TASK,
        shared=False,
        ignore_result=True,
        Strategy="kernel.worker.untrusted_messages:strategy",
    )  # type: ignore[untyped-decorator]
    def execute_orders(*order_ids: object) -> None:
        hinted = [one for one in order_ids[:TOGETHER] if _may_be_an_id(one)]
        if hinted:
            life.process().execute(hinted)

    signals.setup_logging.connect(life.on_logging, weak=False)
    signals.worker_init.connect(life.on_init, weak=False)
    signals.worker_process_init.connect(life.on_process_init, weak=False)
    signals.worker_ready.connect(life.on_ready, weak=False)
    signals.task_received.connect(life.on_received, weak=False)
    signals.worker_shutting_down.connect(life.on_shutting_down, weak=False)
    signals.worker_process_shutdown.connect(life.on_process_shutdown, weak=False)
    signals.worker_shutdown.connect(life.on_process_shutdown, weak=False)
    return app


def _may_be_an_id(found: object) -> TypeGuard[str]:
    return isinstance(found, str) and len(found) <= MAX_ID and found.isascii()


class _WorkerLife:
    """What Celery's signals mean for a kernel's worker."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.vitals = Vitals()
        self.main_pid = os.getpid()
        self._process: tuple[int, WorkerProcess] | None = None

    def process(self) -> WorkerProcess:
        """Return the part that belongs to this process, started with its first use."""
        if self._process is None or self._process[0] != os.getpid():
            broker = Broker(self.kernel)
            process = WorkerProcess(self.kernel, broker, self.vitals, self.main_pid)
            self._process = (os.getpid(), process)
            process.start()
        return self._process[1]

    def on_logging(self, loglevel: int | str | None = None, **_: Any) -> None:
        kernel_logging.configure(loglevel or self.kernel.settings.log_level)

    def on_init(self, **_: Any) -> None:
        self.main_pid = os.getpid()
        step_back(self.kernel.settings.worker_nice)
        try:
            for warning in startup.check(self.kernel):
                log.warning(warning)
        except ConfigurationError as error:  # Celery swallows an Exception here
            raise SystemExit(f"kernel: {error}") from None
        except Unavailable as error:
            log.warning("%s; going on, it may come back", error)
        self.kernel.close()  # no connection of the parent survives into a child

    def on_process_init(self, **_: Any) -> None:
        self.process()

    def on_ready(self, sender: Any, **_: Any) -> None:
        if not sender.pool.__class__.__module__.endswith("prefork"):
            self.process()

    def on_received(self, **_: Any) -> None:
        self.vitals.received()

    def on_shutting_down(self, **_: Any) -> None:
        self.vitals.stopping()

    def on_process_shutdown(self, **_: Any) -> None:
        if self._process is not None and self._process[0] == os.getpid():
            self._process[1].stop()
