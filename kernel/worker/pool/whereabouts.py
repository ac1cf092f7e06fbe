"""Where a process lives, as its row has it: others on the same machine can see that it is gone.

Linux only. A machine is one boot of one system, and there one namespace of process ids and one
user: those see each other in /proc, and an id with a start time is of one process. Another
container is another machine, and so is a host of the same name.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from kernel.worker.pool.subreaper import PASSES, is_gone, kill_each, look_at, processes, started_by
from kernel.worker.pool.vitals import Life

BOOT = Path("/proc/sys/kernel/random/boot_id")


class Whereabouts(NamedTuple):
    """A process on a machine. ``lives``: its own, and that of the process that clears up after it.

    While that one lives it is its task, and it knows more: it has inherited the children.
    """

    machine: str
    lives: tuple[Life, ...]

    @property
    def is_deserted(self) -> bool:
        """Whether they have all ended. Only to be asked on this very machine."""
        return all(map(is_gone, self.lives))

    def written(self) -> str:
        """Return it as the row has it."""
        return " ".join([self.machine, *(f"{one.pid}:{one.started}" for one in self.lives)])

    @classmethod
    def read(cls, written: str) -> Self | None:
        """Read what `written` wrote; None when it is anything else."""
        machine, *lives = written.split()
        with suppress(ValueError, TypeError):
            return cls(machine, tuple(Life(*map(int, one.split(":"))) for one in lives))
        return None


def this_machine() -> str | None:
    """Return what tells this machine from others; None where processes are not to be seen."""
    try:
        boot, space = BOOT.read_text().strip(), os.stat("/proc/self/ns/pid")
        if os.readlink("/proc/self") != str(os.getpid()):  # another namespace's /proc
            return None
    except OSError:
        return None
    return f"{boot}/{space.st_ino}/{os.getuid()}"


def whereabouts(main_pid: int | None = None) -> Whereabouts | None:
    """Return where this process lives; None where no other could see it.

    ``main_pid``: the process that clears up after this one, if there is one.
    """
    machine, own = this_machine(), look_at(os.getpid())
    if machine is None or own is None:
        return None
    main = None if main_pid is None else look_at(main_pid)
    return Whereabouts(machine, (own.life,) if main is None else (own.life, main.life))


def kill_left_by(runner: str) -> bool:
    """Kill what a process that is gone has started; True when none of it is seen any more.

    Seen is what its environment tells of: see `kernel.worker.pool.subreaper`.
    """
    for _ in range(PASSES):
        left = [
            one for one in processes() if not one.has_ended and started_by(one.life.pid) == runner
        ]
        if not left:
            return True
        kill_each(left)
    return False
