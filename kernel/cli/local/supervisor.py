"""Starts programs, restarts those that end, and leaves none behind.

`kernel up`, `kernel worker` and `kernel demo` use it. It knows processes, ports and signals, and
nothing of orders, Celery or Flask.
"""

import logging
import random
import select
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Self

from kernel.cli.local.copies import tethered
from kernel.cli.local.embedded_broker import LISTENING_PORTS, broker_program, find_broker
from kernel.cli.local.processes import Child, Program
from kernel.errors import ConfigurationError

__all__ = [
    "Child",
    "Program",
    "Supervisor",
    "broker_program",
    "find_broker",
    "free_port",
    "tethered",
]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
# Seconds between two looks at children that tell nothing: half of the shortest pause before a
# restart.
WATCH_SECONDS = 0.25
# The same where each would tell. The system may give a signal to another thread, and Python runs
# its handler in this one only when it wakes.
TOLD_SECONDS = 1.0


class Supervisor:
    """Runs programs inside its `with` block, and ends all of them when the block ends.

    With ``logs``, a folder, each program writes to ``<name>.log`` there; without it, to this
    process's stderr. Inside the block SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does.
    Use it from the main thread only.

        with Supervisor() as supervisor:
            supervisor.start(broker)
            supervisor.start(api)
            supervisor.wait_until_ready(timeout=30)
            supervisor.run_forever()
    """

    def __init__(self, logs: Path | None = None) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._handlers: dict[int, Any] = {}
        self._busy = False
        self._interrupted = False

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("children end with the thread that started them")
        signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup has SIGHUP ignored
            signals.append(signal.SIGHUP)
        self._handlers = {number: signal.signal(number, self._interrupt) for number in signals}
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, program: Program) -> Child:
        """Start a program and return at once. Raises ConfigurationError if it does not exist."""
        if shutil.which(program.argv[0]) is None:
            raise ConfigurationError(f"{program.name}: there is no program {program.argv[0]}")
        with self._uninterrupted():
            log_file = self._logs / f"{program.name}.log" if self._logs else program.log
            self._children.append(Child(program, log_file))
        return self._children[-1]

    def wait_until_ready(self, timeout: float = 30.0) -> None:
        """Wait until every program is ready.

        Raises ConfigurationError, with the end of the program's output, when a program ends
        before that or is not ready after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        for child in self._children:
            while not self._is_ready(child):
                if time.monotonic() > deadline:
                    raise child.failure(f"was not ready after {timeout:g} s")
                time.sleep(POLL_SECONDS)  # a program does not tell when it is ready

    def run_forever(self, look: Callable[[], None] | None = None) -> None:
        """Restart programs that end, until SIGINT or SIGTERM; call ``look`` four times a second.

        Raises ConfigurationError when a program without ``restart`` ends.
        """
        with suppress(KeyboardInterrupt):
            while True:
                for child in self._children:
                    self._keep_running(child)
                if look is not None:
                    look()
                self._wait(told=look is None)

    def stop(self) -> None:
        """End all programs, the last started first. A signal during this kills those left."""
        try:
            for child in reversed(self._children):
                child.stop()
        except KeyboardInterrupt:
            log.warning("interrupted again: killing what is left")
        finally:
            for child in reversed(self._children):
                child.kill()
            self._children.clear()

    def _wait(self, *, told: bool) -> None:
        """Wait for the next look at the programs: with ``told`` until one ends, or asks."""
        with self._uninterrupted():  # it takes the exit code of one that has ended, once
            told_by = [child.told_by() for child in self._children]
        if not told or None in told_by:
            time.sleep(WATCH_SECONDS)  # a restart is due then, or nothing tells of an end
            return
        ends = select.poll()
        for one in (one for each in told_by for one in each or ()):
            ends.register(one, select.POLLIN)
        ends.poll(TOLD_SECONDS * 1000)

    def _is_ready(self, child: Child) -> bool:
        if child.returncode is not None:
            raise child.failure()
        return child.program.ready is None or child.program.ready()

    def _keep_running(self, child: Child) -> None:
        if child.program.restart:
            with self._uninterrupted():
                child.restart_when_due()
        elif child.returncode is not None:
            raise child.failure()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        if not self._busy:
            raise KeyboardInterrupt

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Delay a signal until the block ends, so that no started child is forgotten."""
        self._busy, self._interrupted = True, False
        try:
            yield
        finally:
            self._busy = False
        if self._interrupted:
            raise KeyboardInterrupt


def free_port() -> int:
    """Return a loopback TCP port on which no program listens at this moment.

    Raises ConfigurationError if a hundred tries find none.
    """
    for port in random.SystemRandom().sample(LISTENING_PORTS, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise ConfigurationError("found no free port on 127.0.0.1")
