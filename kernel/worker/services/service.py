"""What the dispatcher's services have in common: turns, each at its own time, that fail alone."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

# Due without a pause between two rounds.
AT_ONCE = -math.inf


class Service(ABC):
    """A part of the dispatcher that has a turn whenever ``due_at`` has come.

    A turn may raise anything: `kernel.worker.services.loop` logs it and puts off the next turn of
    this service, and of no other. All times are monotonic seconds. Turns run in the dispatcher's
    thread; methods that other threads may call say so.
    """

    name: str
    # Whether it has turns while the dispatcher stops.
    lasts = False
    # Whether a turn that ends well has reached the database.
    asks = True
    # After a failure: no turn before this time.
    failed_until = AT_ONCE

    @property
    @abstractmethod
    def due_at(self) -> float:
        """When the next turn is due; infinity while there is nothing to do."""

    @abstractmethod
    def run(self) -> None:
        """Have a turn: do what is due. It comes up to `Pace.round_seconds` early."""

    def leave(self) -> None:  # noqa: B027 - most have nothing to leave
        """Do what is left to do after the last turn, once the dispatcher has stopped."""


class Periodic(Service):
    """A job that runs every ``seconds``, counted from the end of one run to the start of the next.

    ``lasts``: also while the dispatcher stops. ``once_more``: also when it has stopped.
    """

    asks = False  # the job may have had nothing to ask

    def __init__(
        self,
        name: str,
        job: Callable[[], object],
        seconds: float,
        *,
        lasts: bool = False,
        once_more: bool = False,
    ) -> None:
        self.name = name
        self.lasts = lasts
        self._job = job
        self._seconds = seconds
        self._once_more = once_more
        self._due_at = 0.0
        self._hurries = False

    @property
    def due_at(self) -> float:
        """When the job runs next."""
        return 0.0 if self._hurries else self._due_at

    def hurry(self) -> None:
        """Run the job with the next round. For any thread."""
        self._hurries = True

    def run(self) -> None:
        """Run the job."""
        self._hurries = False
        self._job()
        self._due_at = time.monotonic() + self._seconds

    def leave(self) -> None:
        """Run the job for the last time if it is one that does."""
        if self._once_more:
            self._job()
