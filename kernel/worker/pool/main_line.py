"""How a worker's processes wake each other: what they are told, they act on at once.

Without these two they would look once or twice a second.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress


class MainLine:
    """A pipe that only the main process writes to: make it before the fork.

    A byte says that a pool process is gone and its place cleared. One process reads it, and one is
    enough. The end of the pipe says that the main process has ended; all processes read that.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def tell(self) -> None:
        """Tell one pool process, the next that listens, that a place is cleared. Never waits."""
        with suppress(BlockingIOError):  # none has listened for long
            os.write(self._writing, b"\n")

    def follow(self, cleared: Callable[[], None], ended: Callable[[], None]) -> None:
        """Listen in a pool process, once, after the fork: a thread calls what the main tells."""
        os.close(self._writing)
        args = (cleared, ended)
        threading.Thread(target=self._listen, args=args, name="main line", daemon=True).start()

    def _listen(self, cleared: Callable[[], None], ended: Callable[[], None]) -> None:
        while os.read(self._reading, 1):
            cleared()
        ended()


class Bell:
    """Wakes the event loop of the main process from a signal handler."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def ring(self) -> None:
        """Have the loop call back. Never waits."""
        with suppress(BlockingIOError):
            os.write(self._writing, b"\n")

    def answer(
        self, add_reader: Callable[[int, Callable[[], None]], None], rung: Callable[[], None]
    ) -> None:
        """Have the loop call ``rung`` when it is woken; ``add_reader`` as the loop offers it."""

        def read() -> None:
            with suppress(BlockingIOError):
                os.read(self._reading, 4096)
            rung()

        add_reader(self._reading, read)
