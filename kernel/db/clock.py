"""The one clock: the database's. In statements it is asked by the statement itself.

Times that are written and compared (acceptance, due, leases, claims, turns) are `database_time` in
the very statement that writes or compares them: no process's idea of the time is in them, however
old. A process carries a reading forward by its monotonic clock (`Clock.now`) to pace its threads,
to label what it logs, and to notice when the database's clock was set.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Engine, bindparam, literal, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from kernel.db.columns import UTCDateTime
from kernel.db.dialects import DIALECTS, dialect_of
from kernel.db.engine import READ_ONLY

CLOCK_SECONDS = 60.0
# A reading that is off by more than this, as the monotonic clock says, tells that the database's
# clock was set, or that another server answers.
STEP_SECONDS = 1.0
# An answer that took longer tells little of when it was made: its server stood still.
STALL_SECONDS = 0.2
AT_ONCE = timedelta()


class DatabaseTime(FunctionElement[datetime]):
    """The database's time in UTC at the statement, plus a number of microseconds."""

    name = "database_time"
    type = UTCDateTime()
    inherit_cache = True


@compiles(DatabaseTime)
def _say(element: DatabaseTime, compiler: Any, **options: Any) -> str:
    micros = compiler.process(element.clauses, **options)
    name = compiler.dialect.name
    spoken = (one.now_plus(micros) for one in DIALECTS if name in one.names)
    return next(spoken, f"database_time({micros})")  # a statement that is only shown


def database_time(offset: str) -> DatabaseTime:
    """Return the database's time plus the microseconds that are bound as ``offset``.

    Bind `Clock.offset`: it holds what a test has moved the clock by.
    """
    return DatabaseTime(bindparam(offset, type_=BigInteger()))


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the database said, and the monotonic times between which it said so."""

    moment: datetime
    sent: float
    arrived: float

    def carried(self) -> datetime:
        """Return the time now; never behind the database's, if its clock was not set."""
        return self.moment + timedelta(seconds=time.monotonic() - self.sent)

    def agrees(self, other: "_Reading") -> bool:
        """Tell whether an earlier reading and this one lie on the same, steady clock."""
        least = other.moment + timedelta(seconds=self.sent - other.arrived - STEP_SECONDS)
        most = other.moment + timedelta(seconds=self.arrived - other.sent + STEP_SECONDS)
        return least <= self.moment <= most


class Clock:
    """The database's time, carried forward between readings by the monotonic clock.

    A wrong wall clock on a host changes nothing. ``read`` asks the database and returns an aware
    UTC datetime.
    """

    def __init__(self, read: Callable[[], datetime]) -> None:
        self._read = read
        self._mark: _Reading | None = None
        self._shift = timedelta()
        # Monotonic: since when the readings of this process lie on one steady clock.
        self.steady_since: float | None = None
        # Whether this process has seen the database's clock being set.
        self.was_set = False

    def now(self) -> datetime:
        """Return the current time; reads the database at first and when a minute has passed."""
        mark = self._mark
        if mark is None or time.monotonic() - mark.arrived > CLOCK_SECONDS:
            mark = self._sync()
        return mark.carried() + self._shift

    def sync(self) -> None:
        """Read the database's clock; when that fails, the last reading is carried on."""
        self._sync()

    def _sync(self) -> _Reading:
        try:
            moment = self._read()
        except Exception:
            if self._mark is None:
                raise
            asked = time.monotonic()
            self._mark = _Reading(self._mark.carried(), asked, asked)
            return self._mark
        # The answer tells the time at the end: connecting came before it.
        answered = time.monotonic()
        return self._note(_Reading(moment, answered, answered))

    def heard(self, moment: datetime, sent: float) -> bool:
        """Note the time that a statement told which was sent at monotonic ``sent``.

        ``moment`` is a `database_time` with this clock's `offset`. Returns False when the answer
        took longer than `STALL_SECONDS`.
        """
        reading = _Reading(moment - self._shift, sent, time.monotonic())
        return self._note(reading) is reading

    def _note(self, reading: _Reading) -> _Reading:
        if self._mark is None:
            self.steady_since = reading.sent
        elif not reading.agrees(self._mark):
            self.steady_since, self.was_set = reading.arrived, True
        elif reading.arrived - reading.sent > STALL_SECONDS:
            return self._mark
        self._mark = reading
        return reading

    def is_steady_for(self, seconds: float) -> bool:
        """Tell whether the database's clock was not set in the last ``seconds``.

        False also while this process has not read it for as long: it could not have noticed.
        """
        since = self.steady_since
        return since is not None and time.monotonic() - since >= seconds

    def offset(self, plus: timedelta = AT_ONCE) -> int:
        """Return the microseconds to bind for a time that lies ``plus`` from the statement."""
        return round((plus + self._shift) / timedelta(microseconds=1))

    def sql(self, plus: timedelta = AT_ONCE) -> DatabaseTime:
        """Return the time that lies ``plus`` from the statement it stands in."""
        return DatabaseTime(literal(self.offset(plus), BigInteger()))

    def shift(self, seconds: float) -> None:
        """Move this clock, and that of statements, for tests: what is due in an hour is due now."""
        self._shift += timedelta(seconds=seconds)


def read_clock(engine: Engine) -> datetime:
    """Ask the database what time it is: an aware UTC datetime. Raises the database's errors."""
    query = text(dialect_of(engine.url).clock)
    with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        value = connection.execute(query).scalar_one()
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC)
