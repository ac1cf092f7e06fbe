"""The times of a cron expression in a time zone, and which of those that passed is made up. Pure.

cronsim reads the expression as Debian's cron does, and so it does when clocks change. An expression
whose minute and hour are both written without a leading ``*`` names times of day: one that does not
exist that day is due at the first moment after the gap, and one that exists twice is due at the
first of the two. Any other expression follows the clock on the wall: each minute that matches is
due as often as the clock shows it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

MAX_CRON, MAX_ZONE, FIELDS = 100, 64, 5
# A file beside the zones, which says where the host stands: another host means another zone.
OF_THE_HOST = "localtime"
SECOND = timedelta(seconds=1)
# For how long a missed time may be made up: so the times that one turn looks at are few.
LEAST, MOST = timedelta(minutes=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When something recurs: a cron expression of five fields, and the zone that its times are in.

    Raises ValueError, which says what is wrong, for an expression or a zone that is none.
    """

    cron: str
    zone: str

    def __post_init__(self) -> None:
        wrong = cron_problem(self.cron) or zone_problem(self.zone)
        if wrong is not None:
            raise ValueError(wrong)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times later than ``moment``, the earliest first, in UTC; they may end."""
        last = moment
        for found in CronSim(self.cron, moment.astimezone(ZoneInfo(self.zone))):
            at = found.astimezone(UTC)
            # In an hour that the clock shows twice cronsim may begin with the first of the two.
            if at > last:
                last = at
                yield at

    def next(self, moment: datetime) -> datetime | None:
        """Return the first time later than ``moment``; None when there is none."""
        return next(self.after(moment), None)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a schedule that is due has coming: one time to fire, or one that was missed, and then.

    ``latest`` is the last time that has passed, ``is_missed`` whether it is too old to be made up.
    Times before it are never fired. ``next``: the first time to come; None when there is none.
    """

    latest: datetime
    is_missed: bool
    next: datetime | None


def turn(recurrence: Recurrence, due: datetime, now: datetime, catch_up: timedelta) -> Turn:
    """Say what is to be done of the times from ``due``, the first that was not fired, to ``now``.

    The rule: of the times that have passed the latest is fired, once, if it is no older than
    ``catch_up``.
    """
    oldest, latest = now - catch_up, due
    for at in recurrence.after(max(due, oldest - SECOND)):
        if at > now:
            return Turn(latest, latest < oldest, at)
        latest = at
    return Turn(latest, latest < oldest, None)


def cron_problem(cron: str) -> str | None:
    """Say what is wrong with a cron expression; None for nothing."""
    fields = len(cron.split())
    if len(cron) > MAX_CRON:
        return f"at most {MAX_CRON} characters"
    if fields != FIELDS:
        return (
            f"{cron!r} has {fields} fields, and these are five: minute, hour, day of month, month, "
            'day of week, as in "0 2 * * *"'
        )
    try:
        if next(CronSim(cron, datetime(2000, 1, 1)), None) is None:
            return f"{cron!r} never comes"
    except CronSimError as error:
        return f"{cron!r} is no cron expression: {str(error).lower()}"
    return None


def zone_problem(zone: str) -> str | None:
    """Say what is wrong with the name of a time zone; None for nothing."""
    try:
        ZoneInfo(zone if len(zone) <= MAX_ZONE and zone != OF_THE_HOST else "")
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is an OSError
        pass
    else:
        return None
    known = "write a name such as Europe/Berlin or UTC"
    return f"{zone[:MAX_ZONE]!r} is no time zone that is known here; {known}"
