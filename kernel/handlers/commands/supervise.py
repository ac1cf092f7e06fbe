"""Runs one program for a worker and leaves nothing of it behind; a program of its own.

It is started by its path, in an isolated Python, and imports nothing of kernel's. Its arguments
are two descriptors. From the first it reads a line of JSON (program, argv, environment, directory);
each byte that follows asks for a SIGTERM to the program. When that pipe is closed, because the
worker says so or is dead, everything that the program has started is killed. To the second it
writes a line of JSON: how the program ended, or why it did not begin.

On Linux it is a subreaper, so that daemons and sessions of their own end, too; the program itself
dies with it. Elsewhere the program's process group is killed.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# How long it kills what does not end.
KILL_SECONDS = 10.0
PAUSE_SECONDS = 0.005
# What Python ignores, and a program expects to be as usual.
RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)


def main() -> None:
    """Run the program that the worker asks for."""
    asked, report = (int(one) for one in sys.argv[1:3])
    for one in (asked, report):
        os.set_inheritable(one, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    line = _line(asked)
    if not line:  # the worker has died meanwhile
        return
    child, why = _start(json.loads(line))
    told = {"failed": why} if why else _wait(child, asked, woken)
    _end_all(child)
    if told is not None:
        with suppress(BrokenPipeError):
            os.write(report, json.dumps(told).encode() + b"\n")


def _line(descriptor: int) -> bytes:
    found = bytearray()
    while not found.endswith(b"\n"):
        part = os.read(descriptor, 65_536)
        if not part:
            return b""
        found += part
    return bytes(found)


def _start(told: dict[str, Any]) -> tuple[int, str]:
    """Start the program; return its process id, and why it has not begun, "" if it has."""
    failed, fail = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            _become(told, parent)
        except BaseException as error:  # noqa: BLE001 - this is a copy of the parent: it has to end
            os.write(fail, str(getattr(error, "strerror", None) or error).encode()[:500])
        os._exit(127)
    os.close(fail)
    why = os.read(failed, 1000).decode(errors="replace")
    os.close(failed)
    # What it says ends when the last process of the program ends: this one must not hold it open.
    null = os.open(os.devnull, os.O_RDWR)
    for one in (0, 1, 2):
        os.dup2(null, one)
    return child, why


def _become(told: dict[str, Any], parent: int) -> None:
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(127)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for one in RESTORED:
        signal.signal(one, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.chdir(told["directory"])
    os.execve(told["program"], told["argv"], told["environment"])  # noqa: S606


def _wait(child: int, asked: int, woken: int) -> dict[str, int] | None:
    """Return how the program ended; None when the worker wants no more of it."""
    while True:
        ready, _, _ = select.select([asked, woken], [], [])
        if asked in ready:
            if not os.read(asked, 64):
                return None
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGTERM)
        if woken in ready:
            os.read(woken, 4096)
            status = _reaped().get(child)
            if status is not None:
                code = os.waitstatus_to_exitcode(status)
                return {"signal": -code} if code < 0 else {"code": code}


def _reaped() -> dict[int, int]:
    """Return the statuses of children that have ended, adopted ones among them."""
    found: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            found[one[0]] = one[1]
    return found


def _end_all(child: int) -> None:
    """Kill everything below this process, until nothing is left or it has taken too long."""
    until = time.monotonic() + KILL_SECONDS
    while time.monotonic() < until:
        for pid in _below() if sys.platform == "linux" else (-child,):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        _reaped()
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        time.sleep(PAUSE_SECONDS)


def _below() -> list[int]:
    """Return the ids of the processes below this one, as /proc has them."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(name))
    found, looked = list[int](), [os.getpid()]
    while looked:
        below = parents.get(looked.pop(), [])
        found += below
        looked += below
    return found


def _prctl(option: int, value: int) -> None:
    """Ask Linux something; other systems have no such thing."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
