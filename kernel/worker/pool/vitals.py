"""What the processes of a worker share in memory: two moments, and a place per pool process.

A place tells which process sits there and what has been done since it died: its children are gone,
its orders and deliveries are handed back. No lock is needed. Each word has one writer, or writers
that write the same; what is written names the turn of the place that it is about, so that a late
word about an earlier process says nothing about its successor.
"""

import mmap
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from kernel.worker.pool.consumer_watch import ConsumerWatch
from kernel.worker.pool.main_line import MainLine

# The exit code of a process that has handed back what it ran: billiard's EX_RECYCLE. The pool puts
# another in its place, as for one that has had its number of tasks.
IN_ORDER = 0x9B
# More pool processes than this have no place; their orders are taken over by lease.
PLACES = 512
_MOMENTS = 24
# A runner's id is shorter than this many bytes.
_ID = 40
# given, filled, cleared, handed (turns); pid, start time; the runner's id.
_PLACE = struct.Struct(f"=6Q{_ID}s")
_WORD = struct.Struct("=Q")
_GIVEN, _FILLED, _CLEARED, _HANDED, _PID = 0, 8, 16, 24, 32


class Life(NamedTuple):
    """A process: its id, and when it started. The system may give the id to another later.

    ``started``: clock ticks since the machine's boot, as /proc tells.
    """

    pid: int
    started: int


class Place(NamedTuple):
    """One process that sat in a place: ``turn`` counts those of the place, from 1."""

    number: int
    turn: int
    life: Life
    runner: str


class Seat(NamedTuple):
    """A place that waits for the process of this ``turn``."""

    number: int
    turn: int


class Moment:
    """A monotonic time that processes share: make it before the fork. 0 is never."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def at(self) -> float:
        """When it was noted last."""
        return float(struct.unpack_from("d", self._memory, 0)[0])

    def note(self) -> float:
        """Note that it is now, and return it."""
        now = time.monotonic()
        struct.pack_into("d", self._memory, 0, now)
        return now


class Vitals:
    """The shared memory of a worker's processes: make it before the fork.

    The moments are monotonic times, which Linux and macOS count alike in all processes of a
    machine; 0 is never. ``consumer``: how the consumer fares. ``line``: by which the main process
    tells that it has cleared a place, or has ended. ``places``: how many processes have one at a
    time.
    """

    def __init__(self, consumer: ConsumerWatch | None = None, places: int = PLACES) -> None:
        self.consumer = consumer or ConsumerWatch()
        self.line = MainLine()
        # When a process of the pool found no callback due.
        self.nothing_due = Moment()
        # The pool's name, as Celery calls it; set before the fork.
        self.pool = ""
        self._places = places
        self._memory = mmap.mmap(-1, _MOMENTS + places * _PLACE.size)

    @property
    def received_at(self) -> float:
        """When the consumer last received a task."""
        return float(struct.unpack_from("d", self._memory, 0)[0])

    @property
    def stopping_at(self) -> float:
        """When the worker was told to stop."""
        return float(struct.unpack_from("d", self._memory, 8)[0])

    def received(self) -> None:
        """Note that the consumer received a task."""
        struct.pack_into("d", self._memory, 0, time.monotonic())

    def stopping(self) -> None:
        """Note that the worker was told to stop."""
        struct.pack_into("d", self._memory, 8, time.monotonic())

    @property
    def is_quiet(self) -> bool:
        """Whether the worker takes nothing new: a person has drained its host."""
        return self._memory[16] == 1

    def keep_quiet(self, quiet: bool) -> None:
        """Note whether the worker is to take nothing new."""
        self._memory[16] = quiet

    def reserve(self) -> Seat | None:
        """Keep a free place for a process that is about to start; None when there is none.

        For the worker's main process alone.
        """
        for number in range(self._places):
            turn = self._word(number, _GIVEN)
            if turn == self._word(number, _HANDED):
                self._note(number, _GIVEN, turn + 1)
                return Seat(number, turn + 1)
        return None

    def occupy(self, seat: Seat, life: Life, runner: str) -> None:
        """Take a place: this process writes its orders and deliveries as those of ``runner``."""
        at = _MOMENTS + seat.number * _PLACE.size + _PID
        struct.pack_into(f"=2Q{_ID}s", self._memory, at, *life, runner.encode())
        self._note(seat.number, _FILLED, seat.turn)  # last: the rest is complete

    def occupied(self) -> list[Place]:
        """Return the places of processes that live, or died and were not handed back yet."""
        return [place for place, _ in self._taken()]

    def cleared(self) -> list[Place]:
        """Return the places of processes that are gone with their children, to be handed back."""
        return [place for place, cleared in self._taken() if cleared == place.turn]

    def clear(self, place: Place) -> None:
        """Note that the process is gone, and that nothing which it started runs any more.

        A process of the pool is told: it hands back at once.
        """
        self._note(place.number, _CLEARED, place.turn)
        self.line.tell()

    def free(self, seat: Seat | Place) -> None:
        """Note that nothing is left of this process: the place may be given again."""
        self._note(seat.number, _HANDED, seat.turn)

    def _taken(self) -> Iterator[tuple[Place, int]]:
        for number in range(self._places):
            at = _MOMENTS + number * _PLACE.size
            given, filled, cleared, handed, pid, started, runner = _PLACE.unpack_from(
                self._memory, at
            )
            if given == 0:  # places are given from the first on
                return
            if filled == given != handed:
                name = runner.rstrip(b"\0").decode()
                yield Place(number, given, Life(pid, started), name), cleared

    def _word(self, number: int, which: int) -> int:
        (word,) = _WORD.unpack_from(self._memory, _MOMENTS + number * _PLACE.size + which)
        return int(word)

    def _note(self, number: int, which: int, turn: int) -> None:
        _WORD.pack_into(self._memory, _MOMENTS + number * _PLACE.size + which, turn)
