"""The row in which this process says that it lives, and what it does."""

import time

from kernel.delivery.first_attempt import Desk
from kernel.insight.workers import Heartbeat
from kernel.runtime.kernel import Kernel
from kernel.worker.services.service import Service


class HeartbeatKeeper(Service):
    """Writes this process's row once per KERNEL_SWEEP_SECONDS, and deletes it at the end.

    ``kind``: worker or dispatcher, as people see it.
    """

    name = "heartbeat"

    def __init__(self, kernel: Kernel, kind: str, desk: Desk) -> None:
        self._kernel = kernel
        self._kind = kind
        self._desk = desk
        self._heartbeat: Heartbeat | None = None
        self._due_at = 0.0

    @property
    def due_at(self) -> float:
        """When the row is written next."""
        return self._due_at

    def run(self) -> None:
        """Write what this process does now. Raises database errors."""
        now = self._kernel.clock.now()
        if self._heartbeat is None:
            self._heartbeat = Heartbeat(self._kind, now)
        running = [order_id for order_id, _ in list(self._kernel.running)]
        breakers = self._desk.breakers()
        with self._kernel.write_session() as session:
            self._heartbeat.note(session, now, running, *breakers)
        self._due_at = time.monotonic() + self._kernel.settings.sweep_seconds

    def leave(self) -> None:
        """Delete the row. Raises database errors; the housekeeping forgets the row then."""
        if self._heartbeat is not None:
            with self._kernel.write_session() as session:
                self._heartbeat.leave(session)
