"""An answer that many people look at, asked for by one of them every few seconds."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
FRESH_SECONDS = 1.5
# What was slow is kept longer: asking takes no more than a tenth of the time.
SHARE = 10


class Fresh(Generic[T]):
    """Keeps what ``ask`` returned for a moment. While one thread asks, the others take the last."""

    def __init__(self, ask: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[T, float] | None = None

    def read(self) -> T:
        """Return the answer, a moment old at the most. Raises whatever ``ask`` raises."""
        kept = self._kept
        if kept is not None and self._clock() < kept[1]:
            return kept[0]
        if not self._lock.acquire(blocking=kept is None):
            assert kept is not None  # noqa: S101 - else this thread would have waited
            return kept[0]
        try:
            return self._renewed()
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Ask again next time: something has just been changed by hand."""
        self._kept = None

    def _renewed(self) -> T:
        kept, started = self._kept, self._clock()
        if kept is not None and started < kept[1]:  # asked for while this thread waited
            return kept[0]
        answer = self._ask()
        now = self._clock()
        self._kept = answer, now + max(FRESH_SECONDS, SHARE * (now - started))
        return answer
