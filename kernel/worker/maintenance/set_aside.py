"""Rows that the database refuses to change are set aside, and the others are done."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from kernel.db.errors import driver_error, is_outage, is_passing

log = logging.getLogger(__name__)

T = TypeVar("T")
# One job waits for this many locked rows at the most: its process renews leases after it.
LOCKED = 2


class SetAside:
    """The ids of rows that could not be changed, the last ``most``; each is logged once.

    ``what``: what was not done, for the log, where the row's id is called ``what_id``. A row is
    tried again after ``seconds``, and one that was only locked after a sixtieth of that. Belongs to
    the dispatcher's thread.
    """

    def __init__(
        self,
        what: str,
        *,
        seconds: float = 60.0,
        most: int = 1000,
        what_id: str = "order_id",
    ) -> None:
        self._what = what
        self._what_id = what_id
        self._seconds = seconds
        self._most = most
        # Until when (monotonic) each is passed over.
        self._until: dict[str, float] = {}

    def __contains__(self, row_id: str) -> bool:
        return time.monotonic() < self._until.get(row_id, 0.0)

    def __len__(self) -> int:
        return len(self._until)

    def add(self, row_id: str, error: Exception) -> None:
        """Pass this row over for a while, because of ``error``."""
        seconds = self._seconds / 60 if is_passing(error) else self._seconds
        if self._until.pop(row_id, None) is None:
            extra = {self._what_id: row_id}
            log.error("%s: %s; trying again later", self._what, driver_error(error), extra=extra)
        self._until[row_id] = time.monotonic() + seconds
        while len(self._until) > self._most:
            del self._until[next(iter(self._until))]

    def do_each(
        self, rows: Iterable[T], work: Callable[[T], object], key: Callable[[T], str]
    ) -> None:
        """Do ``work`` for each row that is not passed over now; those that failed before come last,
        and of these the one first that was not tried for longest.

        ``key`` tells a row's id. One whose work fails is set aside. Raises what says that the
        database is away.
        """
        locked = 0
        for row in sorted(rows, key=lambda row: self._until.get(key(row), 0.0)):
            if key(row) in self:
                continue
            try:
                work(row)
            except Exception as error:
                if is_outage(error):
                    raise
                self.add(key(row), error)
                locked += is_passing(error)
                if locked == LOCKED:
                    return
            else:
                self._until.pop(key(row), None)
