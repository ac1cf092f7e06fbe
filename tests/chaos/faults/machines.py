"""Machines that give no threads, and database servers whose own clock is wrong."""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.database import FAKETIME
from tests.chaos.receiver import TOLERANCE_SECONDS
from tests.support.stack import family

if TYPE_CHECKING:
    from tests.chaos.faults import Place

HOUR_SECONDS = 3600
# Where the kernel counts tasks: a hierarchy of its own, or the common one.
CGROUPS = Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")
SENDERS = ("worker-a", "worker-b", "dispatcher")


class TaskLimit:
    """A cgroup that bounds how many processes and threads some processes may have together."""

    def __init__(self) -> None:
        self._parent = next(path for path in CGROUPS if path.is_dir())
        self._folder = self._parent / f"kernel-chaos-{os.getpid()}"
        self._folder.mkdir(exist_ok=True)
        self._limit = self._folder / "pids.max"
        self._limit.write_text("max")

    def take(self, pids: list[int]) -> None:
        """Move processes into it."""
        for pid in pids:
            with suppress(ProcessLookupError):
                (self._folder / "cgroup.procs").write_text(str(pid))

    def hold(self) -> None:
        """Let no process in it start anything."""
        self._limit.write_text("1")

    def close(self) -> None:
        """Let its processes go, and remove it."""
        self._limit.write_text("max")
        for pid in (self._folder / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (self._parent / "cgroup.procs").write_text(pid)
        with suppress(OSError):  # one that has just ended may still be there
            self._folder.rmdir()


@cache
def lacks_cgroup() -> str:
    """Say why threads cannot be limited here; empty if they can."""
    try:
        TaskLimit().close()
    except (OSError, StopIteration) as error:
        return f"threads cannot be limited here: {error or 'no cgroups'}"
    return ""


def thread_limit(place: "Place") -> Iterator[float]:
    """Refuse every new thread, while busy senders make more of them necessary."""
    for receiver in place.system.receivers:
        receiver.mode = "hang"
    limit = TaskLimit()
    try:
        children = place.system.children
        limit.take([pid for name in SENDERS for pid in family(children[name].pid)])
        limit.hold()
        yield 6.0
    finally:
        limit.close()
    for receiver in place.system.receivers:
        receiver.open()
    yield 1.0


@cache
def lacks_faketime() -> str:
    """Say why a server's clock cannot be set here; empty if it can."""
    return "" if FAKETIME else "the database's clock cannot be set here: no libfaketime"


def database_ahead(place: "Place") -> Iterator[float]:
    yield from _step(place, HOUR_SECONDS)


def database_behind(place: "Place") -> Iterator[float]:
    yield from _step(place, -HOUR_SECONDS)


def _step(place: "Place", seconds: int) -> Iterator[float]:
    """Set the clock of a running server, and set it right again, both without a warning.

    Callbacks are signed with the database's time: receivers bear with an hour meanwhile.
    """
    database = place.system.mariadb
    assert database is not None
    _bear_with(place, abs(seconds) + TOLERANCE_SECONDS)
    database.fake_clock(True)
    yield 4.0
    database.set_clock(seconds)
    yield 8.0
    database.set_clock(0)
    yield 4.0
    database.fake_clock(False)
    yield 4.0
    _bear_with(place, TOLERANCE_SECONDS)


def _bear_with(place: "Place", seconds: int) -> None:
    for receiver in place.system.receivers:
        receiver.tolerance = seconds
