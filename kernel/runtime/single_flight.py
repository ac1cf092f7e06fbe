"""Answers that many threads want: one thread asks for each, and all use it for some seconds."""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")
SIZE = 1024


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Answer]):
    """An answer, and until when (seconds of the cache's clock) it is fresh."""

    answer: Answer
    until: float


class SingleFlightCache(Generic[Answer]):
    """Keeps one answer per key for ``seconds``. At most one thread at a time asks for a key.

    ``share``: an answer that took t seconds to get is kept ``share`` * t seconds if that is longer,
    so that asking takes at most one part in ``share`` of the time.
    ``serves_old``: while one thread asks again, the others get the old answer at once; if False
    they wait for the new one.
    ``survives``: errors after which the old answer, if there is one, is kept ``seconds`` longer.
    ``size``: how many keys are kept; beyond it, those asked for longest ago are dropped.
    ``clock``: monotonic seconds.
    """

    def __init__(
        self,
        seconds: float,
        *,
        share: float = 0,
        serves_old: bool = True,
        survives: tuple[type[Exception], ...] = (),
        size: int = SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._share = share
        self._serves_old = serves_old
        self._survives = survives
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Hashable, _Kept[Answer]] = {}
        self._flights: dict[Hashable, Future[Answer]] = {}

    def get(self, ask: Callable[[], Answer], key: Hashable = None) -> Answer:
        """Return the answer kept for ``key``, or what ``ask`` returns when that is too old.

        Raises what ``ask`` raises, in the thread that asked and in those that waited for it. An
        error is not kept: the next call asks again.
        """
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.until:
            return kept.answer
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and self._clock() < kept.until:  # renewed a moment ago
                return kept.answer
            others = self._flights.get(key)
            if others is None:
                own: Future[Answer] = Future()
                self._flights[key] = own
            elif kept is not None and self._serves_old:
                return kept.answer
        return self._ask(ask, key, own, kept) if others is None else others.result()

    def known(self, key: Hashable = None) -> Answer | None:
        """Return the answer kept for ``key``, however old; None without one. Never asks."""
        kept = self._kept.get(key)
        return None if kept is None else kept.answer

    def forget(self, key: Hashable = None) -> None:
        """Ask again at the next `get`. A thread that asks just now does not bring it back."""
        with self._lock:
            self._kept.pop(key, None)
            self._flights.pop(key, None)

    def _ask(
        self,
        ask: Callable[[], Answer],
        key: Hashable,
        own: "Future[Answer]",
        old: _Kept[Answer] | None,
    ) -> Answer:
        started = self._clock()
        try:
            answer = ask()
        except BaseException as error:
            if old is None or not isinstance(error, self._survives):
                self._end(key, own, None)
                own.set_exception(error)
                raise
            answer = old.answer
        now = self._clock()
        until = now + max(self._seconds, self._share * (now - started))
        self._end(key, own, _Kept(answer, until))
        own.set_result(answer)
        return answer

    def _end(self, key: Hashable, own: "Future[Answer]", kept: _Kept[Answer] | None) -> None:
        """Keep what was asked for, unless it was forgotten meanwhile."""
        with self._lock:
            if self._flights.get(key) is not own:
                return
            del self._flights[key]
            if kept is None:
                return
            self._kept.pop(key, None)  # so that it goes to the end
            self._kept[key] = kept
            while len(self._kept) > self._size:
                del self._kept[next(iter(self._kept))]
