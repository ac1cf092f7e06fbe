"""A program that begins as a copy of this process, with all that it has imported.

`kernel up` starts three Pythons that use the same 1,500 modules: loaded once, and copied by a fork,
they take a third of the time. Linux only, and only while this process has a single thread: a fork
copies no other, and what the others were about to do would stay half done in the copy. Nor may a
file of SQLite be open: the library would take the copy's own connections for the parent's.

What is not copied is started as a command of its own; both end with this process (`tethered`).
"""

import atexit
import ctypes
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from kernel.cli.loading import uncollected

TASKS, FILES, STAT = (Path("/proc/self", name) for name in ("task", "fd", "stat"))
PR_SET_PDEATHSIG = 1
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
# Seconds between two looks whether a copy has ended.
LOOK_SECONDS = 0.01

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


def can_copy() -> bool:
    """Tell whether a copy of this process would be whole."""
    return sys.platform == "linux" and len(os.listdir(TASKS)) == 1


@dataclass(frozen=True)
class Command:
    """What a copy does: ``argv`` (`python -m MODULE ...`) in the environment ``env``.

    ``output`` becomes its stdout and stderr; of its parent's other files it has those in ``kept``.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    output: int
    kept: Sequence[int]


class Copy:
    """A process that runs a command as if it had been started; used as a `subprocess.Popen` is.

    ``modules`` are imported first, here, so that the next copy has them, too. It leads a session,
    and is killed when the thread that made it ends.
    """

    def __init__(self, command: Command, modules: Sequence[str]) -> None:
        with uncollected():
            for name in modules:
                import_module(name)
        self._returncode: int | None = None
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        # What comes before the copy has laid down our handlers would be lost there.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.pid = os.fork()
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            raise
        if self.pid == 0:
            _become(command, parent, blocked)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        if self._returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self._returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code; raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            time.sleep(LOOK_SECONDS)  # waitpid has no time limit
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def begun(command: Command, imports: Sequence[str]) -> subprocess.Popen[bytes] | Copy:
    """Begin to run a command, as a copy of this process if it has ``imports`` and may be one."""
    if imports and can_copy():
        return Copy(command, imports)
    return subprocess.Popen(
        tethered(command.argv),
        env=command.env,
        stdin=subprocess.DEVNULL,
        stdout=command.output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=command.kept,
    )


def _become(command: Command, parent: int, blocked: set[int | signal.Signals]) -> NoReturn:
    """Run the command in this new process, to its end, and end as Python does."""
    code = 1
    try:
        _leave(parent)
        _leave_files(command)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.environ.clear()
        os.environ.update(command.env)
        _python, _m, module, *options = command.argv
        _show(f"{module} {' '.join(options)}")
        sys.argv[1:] = options
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001 - as Python does at its end
        traceback.print_exc()
    finally:
        with suppress(BaseException):  # nothing of the parent's may go on here
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            sys.stdout.flush()
        os._exit(code)


def _leave(parent: int) -> None:
    """Lead a session, be killed with the parent, and have no signal handler of it."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before prctl
        os._exit(1)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave_files(command: Command) -> None:
    """Have the command's files, and nothing behind all else that the parent has open.

    The numbers stay taken: an object of the parent that closes its own closes no file of ours.
    """
    os.dup2(command.output, 1)
    os.dup2(command.output, 2)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in {int(name) for name in os.listdir(FILES)} - {1, 2, nothing, *command.kept}:
        with suppress(OSError):  # that of the folder just listed
            os.fstat(number)
            os.dup2(nothing, number, inheritable=number == 0)


def _show(command: str) -> None:
    """Have `ps` show this command instead of the parent's, as far as there is room."""
    fields = STAT.read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5)
    room = end - start - 1
    ctypes.memmove(start, command.encode()[:room].ljust(room, b"\0"), room)
