"""Hands back what dead processes had claimed, without waiting for leases.

Those of this worker, whose main process clears up after them; and those of other workers on this
machine that were killed as a whole, main process and all.
"""

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import bindparam, select

from kernel.db.statements.prepared import Prepared
from kernel.db.tables.service import Worker
from kernel.insight.workers.heartbeat import host_name
from kernel.orders.transitions import RunEnd
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.rescue import take_over
from kernel.worker.maintenance.set_aside import SetAside
from kernel.worker.pool.subreaper import is_gone
from kernel.worker.pool.vitals import Vitals
from kernel.worker.pool.whereabouts import Whereabouts, kill_left_by, this_machine, whereabouts
from kernel.worker.services.service import Service

log = logging.getLogger(__name__)

# From one look at the rows of neighbours to the next, at the most.
READ_SECONDS = 5.0


class _Heir(Service):
    """Looks for dead processes every ``seconds``, the first time at once, and when told to.

    ``tell`` learns what became of orders. ``after`` is called after each takeover: callbacks may be
    due, and hints that the dead process had in memory are lost. Two that see the same process gone
    do no harm: what the first has handed back, the second finds no more.
    """

    asks = False  # only when a process died

    def __init__(
        self,
        kernel: Kernel,
        tell: Callable[[RunEnd], None],
        after: Callable[[], None],
        *,
        seconds: float,
    ) -> None:
        self._kernel = kernel
        self._tell = tell
        self._after = after
        self._seconds = seconds
        self._aside = SetAside("order not taken over")
        self._due_at = 0.0

    @property
    def due_at(self) -> float:
        """When it looks next."""
        return self._due_at

    def hurry(self) -> None:
        """Look with the next round of the dispatcher. For any thread."""
        self._due_at = 0.0

    def _put_off(self) -> None:
        self._due_at = time.monotonic() + self._seconds

    def _inherit(self, runner: str) -> bool:
        """Hand back what a process had claimed; True when nothing of it is left."""
        ends: list[RunEnd] = []
        try:
            return take_over(self._kernel, runner, self._aside, ends)
        finally:
            for end in ends:
                self._tell(end)


class Takeover(_Heir):
    """Takes over from processes of this worker whose places the main process has cleared.

    In a pool of one process the replacement does it, with its first turn.
    """

    name = "takeover"

    def __init__(
        self,
        kernel: Kernel,
        vitals: Vitals,
        tell: Callable[[RunEnd], None],
        after: Callable[[], None],
        *,
        seconds: float,
    ) -> None:
        super().__init__(kernel, tell, after, seconds=seconds)
        self._vitals = vitals

    def run(self) -> None:
        """Hand back what is there to be handed back. Raises database errors."""
        self._put_off()
        for place in self._vitals.cleared():
            try:
                if self._inherit(place.runner):
                    self._vitals.free(place)
            finally:
                self._after()


_ROWS: Any = Worker.__table__
_HERE = Prepared(
    select(_ROWS.c.id, _ROWS.c.whereabouts).where(
        _ROWS.c.host == bindparam("host"), _ROWS.c.id != bindparam("mine")
    )
)


class Neighbours(_Heir):
    """Takes over from processes of this machine that are gone, and so is who would clear up.

    The rows say which there are, read every few seconds; in between /proc is looked at. Of several
    that are gone one has its turn in a round, for the row of an order may be locked. What is not
    handed back at once is tried again when the rows are read again.
    """

    name = "neighbours"
    _asks_at = 0.0

    def __init__(
        self,
        kernel: Kernel,
        tell: Callable[[RunEnd], None],
        after: Callable[[], None],
        *,
        seconds: float,
    ) -> None:
        super().__init__(kernel, tell, after, seconds=seconds)
        self._machine = this_machine()
        self._known: dict[str, Whereabouts] = {}
        # Processes of which it was said that something lives on.
        self._told_of: set[str] = set()

    def run(self) -> None:
        """Take over from one that is gone, if there is one. Raises database errors."""
        self._put_off()
        if self._machine is None:
            return
        if time.monotonic() >= self._asks_at:
            self._known = self._others(self._machine)
            self._asks_at = time.monotonic() + min(
                READ_SECONDS, self._kernel.settings.sweep_seconds
            )
        ended = cache(is_gone)  # most of them share a main process
        gone = {one for one, place in self._known.items() if place.is_deserted(ended)}
        for runner in sorted(gone)[:1]:
            place = self._known.pop(runner)
            if not self._is_alone(runner, place, gone):
                return
            self._inherit(runner)
            if len(gone) > 1:
                self.hurry()
            else:
                self._after()

    def _is_alone(self, runner: str, place: Whereabouts, gone: set[str]) -> bool:
        """Kill what a process has left; True when nothing lives on. Try again where it does."""
        living = {one: self._known[one] for one in self._known.keys() - gone}
        if (own := whereabouts()) is not None:
            living[self._kernel.runner] = own
        if kill_left_by(runner, place, living):
            return True
        if len(gone) == 1:  # else the others have their turns first
            self._known[runner] = place
        if runner not in self._told_of:
            self._told_of.add(runner)
            log.warning("what a process that is gone has started lives on: %s", runner)
        return False

    def _others(self, machine: str) -> dict[str, Whereabouts]:
        where = {"host": host_name(), "mine": self._kernel.runner}
        with self._kernel.read() as connection:
            rows = _HERE.rows(connection, where)
        read = {id_: Whereabouts.read(written or "") for id_, written in rows}
        return {id_: one for id_, one in read.items() if one and one.machine == machine}
