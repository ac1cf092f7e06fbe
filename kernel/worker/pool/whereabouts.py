"""Where a process lives, as its row has it: others on the same machine can see that it is gone.

Linux only. A machine is one boot of one system, and there one namespace of process ids, one of
times and one user: an id with a start time is of one process there. Another container is another
machine, and so is a host of the same name.
"""

import os
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
SPACES = ("pid", "time")


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
        boot = os.environ.get(BOOT_VARIABLE) or BOOT.read_text()
        spaces = [str(os.stat(f"/proc/self/ns/{one}").st_ino) for one in SPACES]
        if os.readlink("/proc/self") != str(os.getpid()):  # another namespace's /proc
            return None
    except OSError:
        return None
    return "/".join([boot.strip().replace("-", ""), *spaces, str(os.getuid())])


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
    led. ``others``: the processes that live, by their ids. They, what they have started, and what
    has started them or this process stay, also where it was the one that is gone.
    """
    for _ in range(PASSES):
        left = [
            one
            for one in _not_above([os.getpid(), *(place.lives[0].pid for place in others.values())])
            if _is_left(one.life.pid, runner, gone.main.pid, others)
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


def _is_left(pid: int, runner: str, session: int, others: Collection[str]) -> bool:
    by = started_by(pid)
    if by == runner:
        return True
    try:
        return by not in others and os.getsid(pid) == session
    except (ProcessLookupError, PermissionError):
        return False
