"""All of the load besides the orders: started, finished and read together."""

from collections.abc import Callable, Iterator

from tests.chaos.load import Load
from tests.chaos.reading import snapshot
from tests.chaos.receiver import Book
from tests.chaos.stack import System
from tests.chaos.traffic.deaths import Deaths
from tests.chaos.traffic.follow import Follower
from tests.chaos.traffic.operations import Operations

FINISH_SECONDS = 60.0


class Traffic:
    """The followers, the operations, and the watch over the processes."""

    def __init__(self, system: System, load: Load, operator_key: str) -> None:
        self.polls = Book(system.folder / "polls.jsonl")
        self._system = system
        self._follower = Follower(load.url, operator_key, self.polls)
        self._operations = Operations(
            system,
            load,
            self._follower,
            operator_key,
            lambda order_id: snapshot(system, order_id),
        )
        self._deaths = Deaths(system)
        self.asked = self._operations.book
        self.aged = self._operations.aged
        # When a process was killed; known after `stop`.
        self.deaths: list[float] = []
        load.accepted_by = self._follower.put
        load.under_way = lambda: self._follower.under_way

    def start(self, seed: int) -> None:
        """Start all of it."""
        self._deaths.start()
        self._follower.start()
        self._operations.start(seed)

    @property
    def has_begun(self) -> bool:
        """Whether all of it was done once."""
        return self._operations.rounds >= 1

    @property
    def is_polled(self) -> bool:
        """Whether every order was polled to its end."""
        return self._follower.is_idle

    def finish(self, tick: Callable[[], None]) -> Iterator[str]:
        """End the operations; yield what could not be ended. ``tick`` keeps the system alive."""
        self._operations.close()
        if not self._system.wait(lambda: tick() or self._operations.is_over, FINISH_SECONDS):
            yield "a cancel or the end of a pause was not answered within a minute"
        self._operations.give_up()
        self._follower.hurry()
        yield from self._operations.failed

    def stop(self) -> None:
        """End all of it. The processes may have ended; the database must still answer."""
        self._operations.give_up()
        self._follower.stop()
        for book in (self.polls, self.asked):
            book.close()
        self.deaths = self._deaths.stop()
