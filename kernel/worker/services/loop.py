"""The dispatcher's loop: each service has its turn when it is due, and fails alone."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kernel.worker.services.health import Health
from kernel.worker.services.service import AT_ONCE, Service


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a dispatcher goes: times in seconds, and sizes of batches."""

    # The longest time between two looks for what is due.
    idle_seconds: float = 1.0
    # Rounds begin at least this far apart, so that one round serves many wake-ups.
    round_seconds: float = 0.02
    # A service that failed has its next turn after this.
    retry_seconds: float = 1.0
    # Finished attempts are recorded after this time, or as soon as this many are there.
    record_seconds: float = 0.2
    record_together: int = 10
    # Deliveries claimed in one transaction.
    claim_batch: int = 50


class Loop:
    """Gives turns to ``services`` in their order, which may be set until `run` is called."""

    def __init__(self, health: Health, pace: Pace, services: Sequence[Service] = ()) -> None:
        self.services = services
        self._health = health
        self._pace = pace
        self._wake, self._stop = threading.Event(), threading.Event()

    def wake(self) -> None:
        """Begin the next round soon: something is due. For any thread."""
        self._wake.set()

    def stop(self) -> None:
        """Give turns only to services that last, then end. For any thread."""
        self._stop.set()
        self._wake.set()

    def wait_until(self, is_done: Callable[[], bool], seconds: float) -> bool:
        """Give no turns until a wake-up finds ``is_done()``, or for ``seconds``; True if it is.

        In the loop's thread, by a service that is to be the last to have a turn.
        """
        deadline = time.monotonic() + seconds
        while not is_done() and (left := deadline - time.monotonic()) > 0:
            self._wake.wait(left)
            self._wake.clear()
        return is_done()

    def run(self, is_done: Callable[[], bool]) -> None:
        """Give turns until told to stop and ``is_done()``; then let each service leave."""
        while True:
            began = time.monotonic()
            self.round()
            if self._stop.is_set() and is_done():
                break
            self._wait(began)
        for service in self.services:
            self._leave(service)

    def round(self) -> None:
        """Give a turn to each service that is due; one that fails keeps no other from its turn."""
        for service in self._active():
            if _next_turn(service) <= time.monotonic() + self._pace.round_seconds:
                self._turn(service)

    def _turn(self, service: Service) -> None:
        try:
            service.run()
        except Exception as error:  # noqa: BLE001 - no service may end another, or the loop
            service.failed_until = time.monotonic() + self._pace.retry_seconds
            self._health.failed(service.name, error)
        else:
            service.failed_until = AT_ONCE
            self._health.worked(service.name, asked=service.asks)

    def _leave(self, service: Service) -> None:
        try:
            service.leave()
        except Exception as error:  # noqa: BLE001 - the others leave, too
            self._health.failed(service.name, error)

    def _wait(self, began: float) -> None:
        """Wait until a service is due, or until woken."""
        first = min(map(_next_turn, self._active()), default=math.inf)
        if first == AT_ONCE:
            return
        seconds = min(self._pace.idle_seconds, first - time.monotonic())
        if self._wake.wait(max(0.0, seconds)):
            self._stop.wait(max(0.0, began + self._pace.round_seconds - time.monotonic()))
            self._wake.clear()

    def _active(self) -> Iterator[Service]:
        return (one for one in self.services if one.lasts or not self._stop.is_set())


def _next_turn(service: Service) -> float:
    return max(service.due_at, service.failed_until)
