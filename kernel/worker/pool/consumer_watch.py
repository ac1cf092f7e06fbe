"""What a worker's processes know of its consumer, and its line to the program that started it.

Knows nothing of Celery. `kernel.worker.pool.consumer_steps` tells it what Celery's consumer does,
and `kernel.worker.process` asks it.
"""

import fcntl
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Self

# The environment variable that holds the number of the line's descriptor.
LINE = "WORKER_SUCCESSOR_FD"


class SuccessorLine:
    """A pipe to the supervisor of this worker: a byte in it asks for another main process.

    The supervisor (`kernel.cli.local.processes`) starts that one beside this worker, which takes
    nothing more and lets its handlers end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)  # not for the programs that handlers start

    @classmethod
    def taken_from(cls, environ: MutableMapping[str, str]) -> Self | None:
        """Return the line that this environment names, and remove it there; None without one."""
        number = environ.pop(LINE, None)
        return None if number is None else cls(int(number))

    def ask(self) -> None:
        """Ask for a successor. Does nothing when the supervisor has ended."""
        with suppress(OSError):
            os.write(self._descriptor, b"\n")


class BusyMark:
    """Tells whether another process of the worker's pool runs a handler: make it before the fork.

    A process holds a lock while it runs one; the system takes the lock of a process that ends.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("busy")
        else:
            with tempfile.TemporaryFile() as file:
                self._descriptor = os.dup(file.fileno())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Count as busy inside the block.

        The lock is the process's. In a pool of threads the first block that ends releases it: there
        is no other process that could ask.
        """
        fcntl.lockf(self._descriptor, fcntl.LOCK_SH, 1)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)

    def held_elsewhere(self) -> bool:
        """Tell whether another process is busy. Call it in a process that is not."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except OSError:
            return True
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)
        return False


class ConsumerWatch:
    """Moments in the life of the consumer, shared by a worker's processes: make it before the fork.

    Monotonic times in seconds; 0 is never. ``line`` is None for a worker without a supervisor of
    ours.
    """

    def __init__(self, line: SuccessorLine | None = None) -> None:
        self._memory = mmap.mmap(-1, 24)
        self._line = line
        self.busy = BusyMark()

    @property
    def turned_at(self) -> float:
        """When the consumer's loop last turned."""
        return self._read(0)

    @property
    def ended_at(self) -> float:
        """When the consumer ended for good; the main process waits for its handlers."""
        return self._read(8)

    @property
    def asked_at(self) -> float:
        """When a process of the pool asked for a successor, because the consumer seemed gone."""
        return self._read(16)

    @property
    def has_supervisor(self) -> bool:
        """Whether there is a supervisor that starts a successor when asked."""
        return self._line is not None

    def turned(self) -> None:
        """Note that the consumer's loop turned."""
        self._note(0)

    def ended(self) -> None:
        """Note that the consumer ended for good, and ask for a successor unless that was done."""
        self._note(8)
        if self._line is not None and not self.asked_at:
            self._line.ask()

    def ask_for_successor(self) -> None:
        """Ask for a successor. The main process winds down when its loop turns again."""
        self._note(16)
        if self._line is not None:
            self._line.ask()

    def _read(self, place: int) -> float:
        return float(struct.unpack_from("d", self._memory, place)[0])

    def _note(self, place: int) -> None:
        struct.pack_into("d", self._memory, place, time.monotonic())
