"""What a dead pool process leaves dies with it: the worker's main process sees to that.

Linux only. The main process is a subreaper: children of a pool process that died become its own
(also those in a session of their own), and it kills them. Then it clears the place of the dead
process in `kernel.worker.pool.vitals`: from that moment on another process of the worker hands back
what the dead one had claimed, and the next run finds nothing of the one before. The main process
asks no database.
"""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from kernel.worker.pool.vitals import Life, Place, Seat, Vitals

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Tells in the environment of a child which pool process started it.
MARK = "_KERNEL_STARTED_BY"
ENDED = "ZX"
# A child that is killed may have started another meanwhile: look this often for more.
PASSES = 20
PROC = Path("/proc")


class Found(NamedTuple):
    """A process as /proc shows it. ``threads`` of one that has ended for good is at most 1."""

    life: Life
    parent: int
    state: str
    threads: int

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, with all of its threads."""
        return self.state in ENDED and self.threads <= 1


def look_at(pid: int) -> Found | None:
    """Return what /proc tells of a process; None when there is none with this id."""
    try:
        told = (PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in front may have spaces and brackets in it, and ends in the midst of a character.
    state, parent, *rest = told.rpartition(b")")[2].split()
    return Found(Life(pid, int(rest[17])), int(parent), state.decode(), int(rest[15]))


def is_gone(life: Life) -> bool:
    """Tell whether this very process has ended; another one with its id does not count."""
    try:
        found = look_at(life.pid)
        if found is None:  # or /proc hides it (hidepid): the system tells that it has no such id
            os.kill(life.pid, 0)
            return False
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return found.life != life or found.has_ended


def processes() -> Iterator[Found]:
    """Yield every process of this machine, or of this container, that may be looked at."""
    for name in os.listdir(PROC):
        found = None
        with suppress(PermissionError):  # another user's, which is none of ours
            found = look_at(int(name)) if name.isdigit() else None
        if found is not None:
            yield found


def kill_descendants() -> None:
    """Kill what this process has started, and what that has started; Linux only.

    What calls it has to go on in any case, also where /proc cannot be read (too many open files).
    """
    if sys.platform != "linux":
        return
    try:
        for _ in range(PASSES):
            living = [one for one in _below(os.getpid()) if not one.has_ended]
            if not living:
                return
            kill_each(living)
    except OSError as error:
        log.warning("what this process has started may live on: %s", error)


def _below(pid: int) -> list[Found]:
    """Return the descendants of a process."""
    known, below, parents = list(processes()), list[Found](), {pid}
    while parents:
        children = [one for one in known if one.parent in parents]
        below += children
        parents = {one.life.pid for one in children}
    return below


def kill_each(found: Iterable[Found]) -> None:
    """Kill processes; those that have ended, or may not be killed, are passed over."""
    for one in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(one.life.pid, signal.SIGKILL)


class Subreaper:
    """The main process of a prefork worker, as the heir of its pool processes' children.

    `begin` before the pool starts; each pool process calls `take_place`. Everything happens in the
    main thread: when a child ends (SIGCHLD), and around each fork. ``kill`` gets what is to end.
    ``after`` is called when a child has ended and its place is cleared, in the signal's handler.
    """

    def __init__(
        self,
        vitals: Vitals,
        kill: Callable[[Iterable[Found]], None] = kill_each,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._vitals = vitals
        self._kill = kill
        self._after = after
        self._pid = os.getpid()
        # What the environment of this process tells, which its pool processes have, too.
        self._inherited = started_by(self._pid)
        # Children that this process has started itself.
        self._own: set[Life] = set()
        # Those that it had before the fork that is under way; None between forks.
        self._before: set[Life] | None = None
        self._seat: Seat | None = None
        # The places of processes that may not have taken them yet.
        self._reserved: dict[Life, Seat] = {}
        self._looking = self._again = False

    def begin(self) -> bool:
        """Become a subreaper, before the first pool process starts; False where that is not had."""
        if sys.platform != "linux" or not _prctl(PR_SET_CHILD_SUBREAPER, 1):
            log.warning("what a dead pool process leaves runs on, its orders wait for their leases")
            return False
        self._own = self._children()
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork,
            after_in_child=self._after_fork_in_child,
        )
        signal.signal(signal.SIGCHLD, self._on_child)
        return True

    def take_place(self, runner: str) -> None:
        """Tell the other processes that this pool process claims as ``runner``."""
        seat, self._seat = self._seat, None
        found = look_at(os.getpid())
        if seat is not None and found is not None:
            os.environ[MARK] = runner
            self._vitals.occupy(seat, found.life, runner)

    def look(self) -> None:
        """Kill what dead pool processes have left; clear their places when nothing is left."""
        if self._looking or self._before is not None:
            self._again = True
            return
        self._looking = True
        try:
            for _ in range(PASSES):
                self._again = False
                self._look()
                if not self._again:
                    break
        finally:
            self._looking = False

    def _look(self) -> None:
        places = self._vitals.occupied()
        gone = [place for place in places if is_gone(place.life)]
        living = {place.runner for place in places if place not in gone}
        self._free_unused(places)
        # Twice: what was started between the two, by a process that ended between them, is seen.
        left = self._left_by(gone, living) or self._left_by(gone, living)
        if left:  # each of them ends, and so begins another look
            self._kill(left)
            return
        for place in gone:
            self._vitals.clear(place)

    def _free_unused(self, places: list[Place]) -> None:
        """Free the places of processes that have ended without taking them."""
        taken = {Seat(place.number, place.turn) for place in places}
        for life, seat in list(self._reserved.items()):
            if seat in taken:
                del self._reserved[life]
            elif is_gone(life):
                del self._reserved[life]
                self._vitals.free(seat)

    def _left_by(self, gone: list[Place], living: set[str]) -> list[Found]:
        """Return living children that a dead pool process has left.

        A daemon of a process that lives is left alone, if its environment tells whose it is. One
        that has a place to be cleared takes the others with it: it may have started them.
        """
        children = [one for one in processes() if one.parent == self._pid]
        self._own &= {one.life for one in children}
        adopted = [one for one in children if one.life not in self._own]
        for one in adopted:
            if one.has_ended:
                with suppress(ChildProcessError):
                    os.waitpid(one.life.pid, os.WNOHANG)
        uncleared = set(gone) - set(self._vitals.cleared())
        return [
            one
            for one in adopted
            if not one.has_ended and _may_be_left(self._mark(one), living, bool(uncleared))
        ]

    def _children(self) -> set[Life]:
        return {one.life for one in processes() if one.parent == self._pid}

    def _mark(self, one: Found) -> str | None:
        mark = started_by(one.life.pid)
        return None if mark == self._inherited else mark

    def _on_child(self, _number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            return
        try:
            self.look()
        except Exception:  # not into what the signal has interrupted
            log.exception("what dead pool processes have left was not looked at")
        self._after()

    def _before_fork(self) -> None:
        if os.getpid() == self._pid:
            self._before = self._children()
            self._seat = self._vitals.reserve()

    def _after_fork(self) -> None:
        if os.getpid() != self._pid or self._before is None:
            return
        # What was adopted meanwhile started before, and has another parent in its environment.
        new = [one for one in processes() if one.parent == self._pid]
        started = {
            one.life for one in new if one.life not in self._before and self._mark(one) is None
        }
        self._own |= started
        if self._seat is not None and started:
            self._reserved |= dict.fromkeys(started, self._seat)
        elif self._seat is not None:  # Python comes here after a fork that failed, too
            self._vitals.free(self._seat)
        self._before = self._seat = None
        if self._again:
            self.look()

    def _after_fork_in_child(self) -> None:
        if self._before is not None:  # a child of the main process, not of a pool process
            self._before = None
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _may_be_left(mark: str | None, living: set[str], uncleared: bool) -> bool:
    return uncleared if mark is None else mark not in living


def started_by(pid: int) -> str | None:
    """Return which pool process has started this one, if its environment tells."""
    try:
        told = (PROC / str(pid) / "environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    mark = f"{MARK}=".encode()
    found = [one for one in told.split(b"\0") if one.startswith(mark)]
    return found[0].removeprefix(mark).decode(errors="replace") if found else None


def outlive_main() -> None:
    """Have the system not kill this pool process when its main ends: it hands back what it runs.

    Celery asks the system for that in each pool process.
    """
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, 0)


def _prctl(option: int, value: int) -> bool:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False
