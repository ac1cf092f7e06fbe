"""The row in which this process says that it lives and what it does, and hears what is asked."""

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from kernel.db.tables.service import Asked
from kernel.delivery.first_attempt import Desk
from kernel.delivery.outgoing.memory import memory_of
from kernel.insight.trends.marks import note_start
from kernel.insight.workers.heartbeat import Heartbeat, Running, host_name, is_drained
from kernel.runtime.kernel import Kernel
from kernel.worker.pool.whereabouts import whereabouts
from kernel.worker.services.service import Service


class HeartbeatKeeper(Service):
    """Writes this process's row once per KERNEL_SWEEP_SECONDS, and deletes it at the end.

    ``kind``: worker or dispatcher, as people see it. ``pool``, and ``main_pid``, the process that
    clears up after this one: set them before the first turn.
    ``told`` is called after each heartbeat with what a person asks of this process.
    """

    name = "heartbeat"

    def __init__(
        self,
        kernel: Kernel,
        kind: str,
        desk: Desk,
        told: Callable[[Asked | None], None] = lambda _: None,
    ) -> None:
        self._kernel = kernel
        self._kind = kind
        self._desk = desk
        self._told = told
        self.pool = ""
        self.main_pid: int | None = None
        self._heartbeat: Heartbeat | None = None
        self._due_at = 0.0
        self._is_marked = False
        self._quiet: bool | None = None

    @property
    def due_at(self) -> float:
        """When the row is written next."""
        return self._due_at

    def run(self) -> None:
        """Write what this process does now, and pass on what is asked. Raises database errors."""
        clock = self._kernel.clock
        if self._heartbeat is None:
            lives = whereabouts(self.main_pid)
            given = (self._kind, clock.now(), self._kernel.runner, self.pool)
            self._heartbeat = Heartbeat(*given, lives and lives.written())
        runs = list(self._kernel.running.values())
        running = [
            Running(one.order_id, one.number, one.select_tag, one.now, one.time_limit)
            for one in runs
        ]
        admission = memory_of(self._kernel).admission
        # One statement as a rule, and none that another has to be committed with.
        with self._kernel.write_one() as connection, Session(connection) as session:
            breakers = self._desk.breakers().and_those(admission.breakers(session))
            self._heartbeat.note(session, clock.sql(), running, *breakers)
            if not self._is_marked:
                note_start(session, host_name(), clock.now())
        self._is_marked = True
        self._due_at = time.monotonic() + self._kernel.settings.sweep_seconds
        asked = self._heartbeat.asked
        self._quiet = asked is Asked.DRAIN
        self._told(asked)

    def is_quiet(self) -> bool:
        """Tell whether this process is to take nothing new. For any thread.

        Before the first heartbeat the rows are asked whether its host is drained. Raises database
        errors.
        """
        if self._quiet is None:
            with self._kernel.read_session() as session:
                return is_drained(session, host_name())
        return self._quiet

    def leave(self) -> None:
        """Delete the row. Raises database errors; the housekeeping forgets the row then."""
        if self._heartbeat is not None:
            with self._kernel.write_session() as session:
                self._heartbeat.leave(session)
