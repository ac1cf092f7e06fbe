"""One program and the process that runs it: starts it, ends it, leaves no process behind.

Each process leads a process group of its own, which is killed once the process has ended. On
Linux the system also kills a process whose parent has ended for any reason (see `tethered`), but
no grandchild whose parent and grandparent were killed together: it has to notice that itself.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from kernel.cli.local.copies import Command, begun
from kernel.config.private_files import opener
from kernel.errors import ConfigurationError

log = logging.getLogger(__name__)

RESTART_SECONDS = 0.5, 30.0  # the first pause before a restart, and the longest
HEALTHY_SECONDS = 60.0  # after a process that ran this long, the first pause applies again
# The longest pause before a successor: it takes what waits, and its predecessor did not crash.
SUCCESSOR_SECONDS = 4.0
TAIL_BYTES = 2000
# Processes of one program that wind down at the same time, at most, beside the one that works.
MOST_WINDING_DOWN = 3


@dataclass(frozen=True)
class Program:
    """A program to run, and how to tell that it works.

    ``env`` is added to the supervisor's own environment. ``ready`` is polled until it returns
    true; None means ready once started. A program without ``restart`` is essential: when it ends,
    `Supervisor.run_forever` ends. After ``stop_signal`` the program has ``stop_timeout`` seconds
    to end before it is killed. ``log``: the file that its output goes to, if it has one of its own.
    ``successor_line`` names an environment variable: in it the program finds the number of a
    descriptor, and a byte that it writes there asks for a successor. ``imports``: what `python -m
    MODULE ...` is going to import; it begins as a copy of the supervisor's process where that is
    possible. ``last_seconds``: its children have so long when it has ended; then it starts again.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    restart: bool = True
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 10.0
    successor_line: str | None = None
    log: Path | None = None
    imports: Sequence[str] = ()
    last_seconds: float = 0.0


def restart_delay(failures: int) -> float:
    """Return the pause in seconds before the restart that follows ``failures`` quick ends."""
    first, longest = RESTART_SECONDS
    return min(longest, first * 2.0 ** min(failures, 16))


class Process:
    """One process of a program, the leader of a process group.

    ``output`` is its stdout and stderr. With ``successor_line`` it is given a pipe.
    """

    def __init__(self, program: Program, output: IO[Any]) -> None:
        self.started_at = time.monotonic()
        self._buried = False
        self._ended_at = 0.0
        self._end: int | None = None
        self._asked: IO[bytes] | None = None
        line, named = None, {}
        if program.successor_line:
            self._asked, line = _pipe()
            named = {program.successor_line: str(line)}
        try:
            environment = {**os.environ, **program.env, **named}
            kept = () if line is None else (line,)
            command = Command(program.argv, environment, output.fileno(), kept)
            self._popen = begun(command, program.imports)
        except BaseException:
            if self._asked is not None:
                self._asked.close()
            raise
        finally:
            if line is not None:
                os.close(line)
        self._end = _end_of(self._popen.pid)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._popen.poll()

    def ending(self) -> str:
        """Say how the process ended."""
        code = self.returncode or 0
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def asks_for_successor(self) -> bool:
        """Tell, once, that the process has asked for another one beside it. Never waits."""
        if self._asked is None or self._asked.closed:
            return False
        said = self._asked.read(1)
        if said is not None:  # it has asked, or closed its end: nothing else comes
            self._asked.close()
        return bool(said)

    def told_by(self) -> list[int] | None:
        """Return what is readable when it ends or asks; None: it has ended, or nothing tells."""
        if self._end is None or self.returncode is not None:
            return None
        if self._asked is None or self._asked.closed:
            return [self._end]
        return [self._end, self._asked.fileno()]

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        self._popen.send_signal(number)

    def wait(self, seconds: float) -> None:
        """Wait for the end, at most for ``seconds``."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(max(0.0, seconds))

    def bury(self, last_seconds: float) -> bool:
        """Kill what the process left when it ended, after a while; tell if nothing is left.

        Its children have ``last_seconds``. Does nothing to a process that runs; never waits.
        """
        if self._buried or self.returncode is None:
            return self._buried
        self._ended_at = self._ended_at or time.monotonic()
        if self._left_children() and time.monotonic() - self._ended_at < last_seconds:
            return False
        self.kill()
        return True

    def _left_children(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Kill the process and its children, once: later the system may give its id to another."""
        if self._buried:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        if self._asked is not None:
            self._asked.close()
        end, self._end = self._end, None  # a signal may end this call and have it made again
        if end is not None:
            os.close(end)
        self._buried = True


def _end_of(pid: int) -> int | None:
    """Return a descriptor that is readable when this child ends; None where there is none."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not Linux, an old one, or too many open files
        return None


def _pipe() -> tuple[IO[bytes], int]:
    """Return the end that is read, without waiting, and the descriptor to write to."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return os.fdopen(reading, "rb", buffering=0), writing


class Child:
    """One program and the process that runs it now, beside earlier ones that wind down."""

    def __init__(self, program: Program, log_file: Path | None) -> None:
        self.program = program
        self._log_file = log_file
        self._failures = 0
        self._restart_at: float | None = None
        self._winding_down: list[Process] = []
        self._process = self._spawn()

    @property
    def pid(self) -> int:
        """The process id; a restart changes it."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.returncode

    def restart_when_due(self) -> None:
        """Start the program again once the pause is over that follows its process's end.

        A process that asks for a successor counts as ended, and is left to end by itself: the
        successor runs beside it. With `MOST_WINDING_DOWN` of them it waits for the end of one.
        Where the system has no process, memory or descriptor left the pause begins anew. Never
        waits itself.
        """
        self._bury_the_ended()
        if self._restart_at is None:
            if self.returncode is not None:
                self._process.bury(self.program.last_seconds)
                self._plan_restart(self._process.ending(), RESTART_SECONDS[1])
            elif self._process.asks_for_successor():
                self._winding_down.append(self._process)
                self._plan_restart("takes nothing more and winds down", SUCCESSOR_SECONDS)
        elif self.returncode is not None and not self._process.bury(self.program.last_seconds):
            return  # what the dead process left would compete with its successor
        elif time.monotonic() >= self._restart_at and len(self._winding_down) <= MOST_WINDING_DOWN:
            self._spawn_again()

    def told_by(self) -> list[int] | None:
        """Return descriptors: one is readable when `restart_when_due` has something to do.

        None when that comes without a word: a restart is due, or a process has just ended.
        """
        if self._restart_at is not None:
            return None
        told = [process.told_by() for process in self._all()]
        return None if None in told else [one for each in told for one in each or ()]

    def stop(self) -> None:
        """Send ``stop_signal``, wait up to ``stop_timeout``, then kill the process groups."""
        processes = self._all()
        deadline = time.monotonic() + self.program.stop_timeout
        for process in processes:
            process.send(self.program.stop_signal)
        for process in processes:
            process.wait(deadline - time.monotonic())
        self.kill()

    def kill(self) -> None:
        """Kill the program's processes and their children."""
        for process in self._all():
            process.kill()

    def failure(self, what: str | None = None) -> ConfigurationError:
        """Return an error that says how the program failed and shows the end of its log."""
        tail = b"" if self._log_file is None else self._log_file.read_bytes()[-TAIL_BYTES:]
        text = f"{self.program.name} {what or self._process.ending()}"
        return ConfigurationError(f"{text}\n{tail.decode(errors='replace')}".strip())

    def _all(self) -> list[Process]:
        """Return the present process and those that wind down, of which it may still be one."""
        return [self._process, *(one for one in self._winding_down if one is not self._process)]

    def _bury_the_ended(self) -> None:
        """Forget those that wound down and have ended, and kill what they left."""
        seconds = self.program.last_seconds
        for process in [one for one in self._winding_down if one.bury(seconds)]:
            self._winding_down.remove(process)
            log.info("%s, which wound down, %s", self.program.name, process.ending())

    def _plan_restart(self, why: str, longest: float) -> None:
        if time.monotonic() - self._process.started_at >= HEALTHY_SECONDS:
            self._failures = 0
        self._pause(why, longest)

    def _pause(self, why: str, longest: float) -> None:
        delay = min(longest, restart_delay(self._failures))
        self._failures += 1
        self._restart_at = time.monotonic() + delay
        log.warning("%s %s; again in %.1f s", self.program.name, why, delay)

    def _spawn_again(self) -> None:
        try:
            self._process = self._spawn()
        except OSError as error:  # the other programs run on
            self._pause(f"cannot be started ({error})", RESTART_SECONDS[1])

    def _spawn(self) -> Process:
        self._restart_at = None
        with self._output() as output:
            return Process(self.program, output)

    def _output(self) -> IO[Any]:
        """Open the log file, or the supervisor's stderr: its stdout is for the command's output."""
        if self._log_file is not None:
            return open(self._log_file, "ab", opener=opener)
        return os.fdopen(os.dup(2), "wb")
