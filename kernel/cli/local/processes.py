"""One program and the process that runs it: starts it, ends it, leaves no process behind.

Each process leads a process group of its own, which is killed once the process has ended. On
Linux the system also kills a process whose parent has ended for any reason (see `tethered`). That
does not reach a grandchild whose parent and grandparent were killed together: it has to notice
itself that its parent changed.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from kernel.errors import ConfigurationError

log = logging.getLogger(__name__)

RESTART_SECONDS = 0.5, 30.0  # the first pause before a restart, and the longest
HEALTHY_SECONDS = 60.0  # after a process that ran this long, the first pause applies again
TAIL_BYTES = 2000

# Runs before the program, in the same process. getppid must come after prctl: a parent that ended
# before prctl sends no signal, but then the parent's id has changed. Python ignores SIGPIPE and
# SIGXFSZ, and the program would inherit that.
_TETHER = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except AttributeError:
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent of this process has ended")
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def tethered(argv: Sequence[str]) -> list[str]:
    """Return a command that runs ``argv`` and that the system kills when its parent ends.

    The parent is the *thread* that starts the command, so start it from the main thread. The
    command uses PR_SET_PDEATHSIG, which only Linux has; elsewhere it outlives its parent.
    """
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), *argv]


@dataclass(frozen=True)
class Program:
    """A program to run, and how to tell that it works.

    ``env`` is added to the supervisor's own environment. ``ready`` is polled until it returns
    true; None means ready once started. A program without ``restart`` is essential: when it ends,
    `Supervisor.run_forever` ends. After ``stop_signal`` the program has ``stop_timeout`` seconds
    to end before it is killed.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    restart: bool = True
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 10.0


def restart_delay(failures: int) -> float:
    """Return the pause in seconds before the restart that follows ``failures`` quick ends."""
    first, longest = RESTART_SECONDS
    return min(longest, first * 2.0 ** min(failures, 16))


class Child:
    """One program and the process that runs it now."""

    def __init__(self, program: Program, log_file: Path | None) -> None:
        self.program = program
        self._log_file = log_file
        self._failures = 0
        self._restart_at: float | None = None
        self._buried = False
        self._process = self._spawn()

    @property
    def pid(self) -> int:
        """The process id; a restart changes it."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.poll()

    def restart_when_due(self) -> None:
        """If the process has ended, start it again once the pause is over. Never waits."""
        if self.returncode is None:
            return
        if self._restart_at is None:
            self._plan_restart()
        elif time.monotonic() >= self._restart_at:
            self._process = self._spawn()

    def stop(self) -> None:
        """Send ``stop_signal``, wait up to ``stop_timeout``, then kill the process group."""
        with suppress(subprocess.TimeoutExpired):
            if self.returncode is None:
                self._process.send_signal(self.program.stop_signal)
                self._process.wait(self.program.stop_timeout)
        self.kill()

    def kill(self) -> None:
        """Kill the process and its children, once: later the system may give its id to another."""
        if self._buried:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._buried = True

    def failure(self, what: str | None = None) -> ConfigurationError:
        """Return an error that says how the program failed and shows the end of its log."""
        tail = b"" if self._log_file is None else self._log_file.read_bytes()[-TAIL_BYTES:]
        text = f"{self.program.name} {what or self._ending()}\n{tail.decode(errors='replace')}"
        return ConfigurationError(text.strip())

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._buried, self._restart_at = False, None
        self._started_at = time.monotonic()
        with self._output() as output:
            return subprocess.Popen(
                tethered(self.program.argv),
                env={**os.environ, **self.program.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _output(self) -> IO[Any]:
        """Open the log file, or the supervisor's stderr: its stdout is for the command's output."""
        if self._log_file is not None:
            return self._log_file.open("ab")
        return os.fdopen(os.dup(2), "wb")

    def _plan_restart(self) -> None:
        self.kill()  # processes that the dead child left would compete with its successor
        now = time.monotonic()
        if now - self._started_at >= HEALTHY_SECONDS:
            self._failures = 0
        delay = restart_delay(self._failures)
        self._failures += 1
        self._restart_at = now + delay
        log.warning("%s %s; again in %.1f s", self.program.name, self._ending(), delay)

    def _ending(self) -> str:
        code = self.returncode or 0
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"
