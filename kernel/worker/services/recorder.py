"""T5 in batches: finished attempts are recorded together, one commit for many."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernel.db.errors import is_passing
from kernel.delivery.attempt import FinishedAttempt
from kernel.delivery.record import record
from kernel.runtime.kernel import Kernel
from kernel.worker.services.service import Service

log = logging.getLogger(__name__)


# An attempt that the database has refused as often, alone, is dropped, and its verdict is written.
REFUSALS = 5


@dataclass(slots=True, eq=False)
class _Result:
    """A finished attempt, how often it was refused, and whether it may be recorded all the same.

    An error after COMMIT was sent does not tell whether the database committed.
    """

    attempt: FinishedAttempt
    refused: int = 0
    tried: bool = False


class Recorder(Service):
    """Records finished attempts in batches: every ``seconds``, or when ``together`` are there.

    Attempts of a process that is killed before are made again. When a batch is refused, its
    attempts are recorded one by one at the next turn, so that one that cannot be written keeps no
    other from being recorded. It is dropped in the end, and what it means for its delivery is
    written without it: the callback is not sent again because of a row that cannot be.
    """

    name = "recording of attempts"
    lasts = True

    def __init__(
        self, kernel: Kernel, wake: Callable[[], None], *, seconds: float, together: int
    ) -> None:
        self._kernel = kernel
        self._wake = wake
        self._seconds = seconds
        self._together = together
        self._lock = threading.Lock()
        self._results: list[_Result] = []
        self._waits_since = 0.0
        self._hurries = False

    @property
    def is_empty(self) -> bool:
        """Whether all that was put is recorded."""
        return not self._results

    @property
    def due_at(self) -> float:
        """When the next batch is recorded."""
        with self._lock:
            if not self._results:
                return math.inf
            at_once = self._hurries or len(self._results) >= self._together
            return self._waits_since + (0.0 if at_once else self._seconds)

    def put(self, finished: FinishedAttempt) -> None:
        """Have an attempt recorded. For any thread."""
        with self._lock:
            self._results.append(_Result(finished))
            count = len(self._results)
            if count == 1:
                self._waits_since = time.monotonic()
        if count in (1, self._together):
            self._wake()

    def hurry(self) -> None:
        """From now on record at once. For any thread."""
        self._hurries = True

    def run(self) -> None:
        """Record what is there: in one commit, but for what was refused before.

        Raises database errors; what is not recorded is kept for the next turn.
        """
        batch = list(self._results)
        new = [one for one in batch if not one.refused]
        refused: Exception | None = None
        if new:
            try:
                self._record(new)
            except Exception as error:
                if is_passing(error):
                    raise
                refused = error
        self._record_alone([one for one in batch if one not in new])
        if refused is not None:
            raise refused

    def _record_alone(self, batch: Sequence[_Result]) -> None:
        errors: list[Exception] = []
        for one in batch:
            try:
                self._record([one])
            except Exception as error:
                if is_passing(error):
                    raise
                errors.append(error)
                if one.refused > REFUSALS:
                    log.exception("attempt dropped", extra={"delivery_id": one.attempt.due.id})
                    self._drop(one)
        if errors:
            raise errors[0]

    def _drop(self, one: _Result) -> None:
        """Forget an attempt, and write its verdict if at least that can be written."""
        try:
            record(self._kernel, [one.attempt], verdicts_only=True)
        except Exception as error:
            if is_passing(error):
                raise
            log.exception("verdict dropped", extra={"delivery_id": one.attempt.due.id})
        self._forget([one])

    def _record(self, batch: Sequence[_Result]) -> None:
        try:
            again = any(one.tried for one in batch)
            record(self._kernel, [one.attempt for one in batch], again=again)
        except Exception as error:
            for one in batch:
                one.tried = True
                one.refused += not is_passing(error)
            raise
        self._forget(batch)

    def _forget(self, batch: Sequence[_Result]) -> None:
        with self._lock:
            self._results = [one for one in self._results if one not in batch]
            self._waits_since = time.monotonic()
