"""The one clock: the database's, carried forward by the monotonic clock of this process."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from kernel.db.dialects import dialect_of
from kernel.db.engine import READ_ONLY

CLOCK_SECONDS = 60.0


class Clock:
    """The database's time, carried forward between readings by the monotonic clock.

    Due times and leases are written and compared with it, so a wrong wall clock on a host
    changes nothing. ``read`` asks the database and returns an aware UTC datetime.
    """

    def __init__(self, read: Callable[[], datetime]) -> None:
        self._read = read
        self._mark: tuple[datetime, float] | None = None
        self._shift = timedelta()

    def now(self) -> datetime:
        """Return the current time; reads the database at first and when a minute has passed."""
        mark = self._mark
        if mark is None or time.monotonic() - mark[1] > CLOCK_SECONDS:
            mark = self.sync()
        return mark[0] + timedelta(seconds=time.monotonic() - mark[1]) + self._shift

    def sync(self) -> tuple[datetime, float]:
        """Read the database's clock; when that fails, the last reading is carried on."""
        started = time.monotonic()
        try:
            # The answer tells the time at the end: connecting came before it.
            mark = (self._read(), time.monotonic())
        except Exception:
            if self._mark is None:
                raise
            mark = (self._mark[0] + timedelta(seconds=started - self._mark[1]), started)
        self._mark = mark
        return mark

    def shift(self, seconds: float) -> None:
        """Move this clock, for tests: what is due in an hour is due now."""
        self._shift += timedelta(seconds=seconds)


def read_clock(engine: Engine) -> datetime:
    """Ask the database what time it is: an aware UTC datetime. Raises the database's errors."""
    query = text(dialect_of(engine.url).clock)
    with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        value = connection.execute(query).scalar_one()
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC)
