"""The times of a cron expression in a time zone, and which of those that passed is made up. Pure.

cronsim reads the expression as Debian's cron does, and so it does when clocks change. An expression
whose minute and hour are both written without a leading ``*`` names times of day: one that does not
exist that day is due at the first moment after the gap, and one that exists twice is due at the
first of the two. Any other expression follows the clock on the wall: each minute that matches is
due as often as the clock shows it. When that is, is told here: cronsim goes from one day to the
next by its midnight, which not every day has.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

MAX_CRON, MAX_ZONE, FIELDS = 100, 64, 5
# A file beside the zones, which says where the host stands: another host means another zone.
OF_THE_HOST = "localtime"
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
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
        last, zone = moment, ZoneInfo(self.zone)
        minute, hour = self.cron.split()[:2]
        if minute.startswith("*") or hour.startswith("*"):
            found = _as_shown(self.cron, moment, zone)
        else:
            found = (one.astimezone(UTC) for one in CronSim(self.cron, moment.astimezone(zone)))
        for at in found:
            # In an hour that the clock shows twice they may begin with the first of the two.
            if at > last:
                last = at
                yield at

    def next(self, moment: datetime) -> datetime | None:
        """Return the first time later than ``moment``; None when there is none."""
        return next(self.after(moment), None)


def _as_shown(cron: str, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield when a clock shows what ``cron`` says, in UTC: never, once or twice each.

    From ``moment`` on, or a little before.
    """

    def wall(at: datetime) -> datetime:
        return at.astimezone(zone).replace(tzinfo=None)

    # Where the clock is set back soon, what it shows again was shown before.
    begin = min(wall(moment), wall(moment + DAY) - DAY)
    again: deque[datetime] = deque()
    for shown in CronSim(cron, begin):
        first, second = (shown.replace(tzinfo=zone, fold=n).astimezone(UTC) for n in (0, 1))
        if wall(first) != shown:  # the clock leaves it out
            continue
        while again and again[0] < first:
            yield again.popleft()
        yield first
        if second != first:
            again.append(second)
    yield from again


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
    if not cron.isascii():  # some letters of other scripts have capitals that are ASCII
        return f"{cron!r} is no cron expression: it has letters that are not ASCII"
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
