"""Hands back what dead processes had claimed, without waiting for leases.

Those of this worker, whose main process clears up after them; and those of other workers on this
machine that were killed as a whole, main process and all.
"""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, select

from kernel.db.statements.prepared import Prepared
from kernel.db.tables.service import Worker
from kernel.insight.workers.heartbeat import host_name
from kernel.orders.transitions import RunEnd
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.rescue import take_over
from kernel.worker.maintenance.set_aside import SetAside
from kernel.worker.pool.vitals import Vitals
from kernel.worker.pool.whereabouts import Whereabouts, kill_left_by, this_machine
from kernel.worker.services.service import Service


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
            self._after()


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
            if self._inherit(place.runner):
                self._vitals.free(place)


_ROWS: Any = Worker.__table__
_HERE = Prepared(
    select(_ROWS.c.id, _ROWS.c.whereabouts).where(
        _ROWS.c.host == bindparam("host"), _ROWS.c.id != bindparam("mine")
    )
)


class Neighbours(_Heir):
    """Takes over from processes of this machine that are gone, and so is who would clear up.

    The rows say which there are: read once per KERNEL_SWEEP_SECONDS. In between /proc is looked at.
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

    def run(self) -> None:
        """Take over from those that are gone. Raises database errors."""
        self._put_off()
        if self._machine is None:
            return
        if time.monotonic() >= self._asks_at:
            self._known = self._others(self._machine)
            self._asks_at = time.monotonic() + self._kernel.settings.sweep_seconds
        for runner in [one for one, place in self._known.items() if place.is_deserted]:
            if kill_left_by(runner) and self._inherit(runner):
                del self._known[runner]

    def _others(self, machine: str) -> dict[str, Whereabouts]:
        where = {"host": host_name(), "mine": self._kernel.runner}
        with self._kernel.read() as connection:
            rows = _HERE.rows(connection, where)
        read = {id_: Whereabouts.read(written or "-") for id_, written in rows}
        return {id_: one for id_, one in read.items() if one and one.machine == machine}
