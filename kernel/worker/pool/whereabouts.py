"""Where a process lives, as its row has it: others on the same machine can see that it is gone.

Linux only. A machine is one boot of one system, and there one namespace of process ids, one of
times and one user: an id with a start time is of one process there. Another container is another
machine, and so is a host of the same name. (The number of a namespace is given again when all of
its processes have ended: they are gone there, too.)
"""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from kernel.worker.pool.subreaper import (
    PASSES,
    Found,
    is_gone,
    kill_each,
    look_at,
    processes,
    started_by,
)
from kernel.worker.pool.vitals import Life

BOOT = Path("/proc/sys/kernel/random/boot_id")
# Tells in its place which boot it is, where /proc has nothing but processes (ProcSubset=pid).
BOOT_VARIABLE = "_KERNEL_BOOT"
BOOT_ID = re.compile("[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")


class Whereabouts(NamedTuple):
    """A process on a machine. ``lives``: its own, and that of the process that clears up after it.

    While that one lives it is its task, and it knows more: it has inherited the children.
    """

    machine: str
    lives: tuple[Life, ...]

    @property
    def main(self) -> Life:
        """The process that clears up; the process itself where there is none."""
        return self.lives[-1]

    def is_deserted(self, is_gone: Callable[[Life], bool] = is_gone) -> bool:
        """Whether they have all ended. Only to be asked on this very machine."""
        return all(map(is_gone, reversed(self.lives)))

    def written(self) -> str:
        """Return it as the row has it."""
        return " ".join([self.machine, *(f"{one.pid}:{one.started}" for one in self.lives)])

    @classmethod
    def read(cls, written: str) -> Self | None:
        """Read what `written` wrote; None when it is anything else."""
        with suppress(ValueError, TypeError):
            machine, own, *main = written.split()
            return cls(machine, tuple(Life(*map(int, one.split(":"))) for one in (own, *main)))
        return None


def this_machine() -> str | None:
    """Return what tells this machine from others; None where that is not to be seen."""
    try:
        boot, spaces = _boot(), [str(os.stat("/proc/self/ns/pid").st_ino)]
        with suppress(FileNotFoundError):  # a system that tells one time to all
            spaces.append(str(os.stat("/proc/self/ns/time").st_ino))
        if os.readlink("/proc/self") != str(os.getpid()):  # another namespace's /proc
            return None
    except OSError:
        return None
    return "/".join([boot, *spaces, str(os.getuid())])


def _boot() -> str:
    try:
        told = BOOT.read_text()
    except FileNotFoundError:
        told = os.environ.get(BOOT_VARIABLE, "")
        if not BOOT_ID.fullmatch(told):  # what a person has made up may be that of another host
            raise
    return told.strip().replace("-", "")


def whereabouts(main_pid: int | None = None) -> Whereabouts | None:
    """Return where this process lives; None where no other could see it.

    ``main_pid``: the process that clears up after this one, if there is one.
    """
    machine, own = this_machine(), look_at(os.getpid())
    if machine is None or own is None:
        return None
    main = None if main_pid is None else look_at(main_pid)
    return Whereabouts(machine, (own.life,) if main is None else (own.life, main.life))


def kill_left_by(runner: str, gone: Whereabouts, others: Mapping[str, Whereabouts]) -> bool:
    """Kill what a process that is gone has started; True when none of it is seen any more.

    Seen is what its environment tells of, and what is in the session that the dead main process
    led. ``others``: the processes that live, by their ids, this one as well. They, what they have
    started, and what has started them or this process stay, also where it was the one that is gone.
    """
    session = _session_left_by(gone.main)
    for _ in range(PASSES):
        left = [
            one
            for one in _not_above([os.getpid(), *(place.lives[0].pid for place in others.values())])
            if _is_left(one.life.pid, runner, session, others)
        ]
        if not left:
            return True
        kill_each(left)
    return False


def _not_above(pids: Collection[int]) -> Iterator[Found]:
    """Yield the processes but these, and but those that have started them."""
    known = {one.life.pid: one for one in processes()}
    above = set[int]()
    for pid in pids:
        while pid in known and pid not in above:
            above.add(pid)
            pid = known[pid].parent  # noqa: PLW2901 - upwards
    return (one for pid, one in known.items() if pid not in above and not one.has_ended)


def _session_left_by(main: Life) -> int | None:
    """Return the session that a process that is gone has led; None when nothing is left of it.

    The system gives its id to no other process before: one that has it leads another session.
    """
    try:
        os.kill(main.pid, 0)
    except ProcessLookupError:
        return main.pid
    except PermissionError:
        return None
    found = look_at(main.pid)  # it has ended, and its parent has not waited for it yet
    return main.pid if found is not None and found.life == main else None


def _is_left(pid: int, runner: str, session: int | None, others: Collection[str]) -> bool:
    by = started_by(pid)
    if by == runner:
        return True
    if session is None:
        return False
    try:
        return by not in others and os.getsid(pid) == session
    except (ProcessLookupError, PermissionError):
        return False
