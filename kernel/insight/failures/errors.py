"""Errors as people see them: a page of them, one with its course, resolved and opened again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, or_, select, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.db.columns import by_index
from kernel.db.tables.operating.errors import ERRORS, HOURS
from kernel.db.tables.operating.runs import FINGERPRINT, RUNS, EndedRun
from kernel.db.tables.orders import ORDERS
from kernel.errors import NotFound
from kernel.filters.plans import FINGERPRINT_INDEX
from kernel.formats.envelope import rfc3339
from kernel.formats.moments import moment
from kernel.insight.failures.counting import HOUR, hour_of
from kernel.runtime.kernel import Kernel

# Errors of a page.
PAGE = 50
# What a list tells of each: the failures of these last hours.
HOURS_SHOWN = 24
DAYS_SHOWN = 14
DAY = timedelta(days=1)
Asked = Session | Connection


class Which(StrEnum):
    """Which errors a list has."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


class Point(NamedTuple):
    """How many failures there were in an hour or a day of UTC."""

    began_at: datetime
    number: int


class Place(NamedTuple):
    """Where a page begins: below the error that was seen then."""

    seen: datetime
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SeenError:
    """An error: its row, and its last hours.

    ``message`` is the latest failure's exception in its own words, which viewers do not read, and
    ``reason`` what its handler has said of it; both while its order is there.
    """

    row: Row[Any]
    message: str
    reason: str
    hours: Sequence[Point]

    @property
    def said(self) -> str:
        """What the latest failure says; a viewer reads the reason alone."""
        return self.message or self.reason

    @property
    def what(self) -> str:
        """The type of the exception, or the code."""
        return str(self.row.error_type or self.row.error_code or "?")

    @property
    def came_back(self) -> bool:
        """Whether it is open because it came again after it had been resolved."""
        row = self.row
        return bool(row.is_open and row.resolved_at is not None and row.new_at > row.resolved_at)


@dataclass(frozen=True, slots=True)
class Listed:
    """Some errors, the latest seen first; ``next``: where the next page begins."""

    errors: Sequence[SeenError]
    next: Place | None


def list_errors(
    session: Session,
    now: datetime,
    which: Which = Which.OPEN,
    tag: str | None = None,
    below: Place | None = None,
    limit: int = PAGE,
) -> Listed:
    """Return up to ``limit`` errors. Three questions, each bounded by the page."""
    query = select(ERRORS).order_by(ERRORS.c.last_seen.desc(), ERRORS.c.fingerprint.desc())
    if which is not Which.ALL:
        query = query.where(ERRORS.c.is_open == (which is Which.OPEN))
    if tag is not None:
        query = query.where(ERRORS.c.select_tag == tag)
    if below is not None:
        same = and_(ERRORS.c.last_seen == below.seen, ERRORS.c.fingerprint < below.fingerprint)
        query = query.where(ERRORS.c.last_seen <= below.seen)
        query = query.where((ERRORS.c.last_seen < below.seen) | same)
    rows = session.execute(query.limit(limit + 1)).all()
    shown = rows[:limit]
    last = None if len(rows) <= limit else Place(shown[-1].last_seen, shown[-1].fingerprint)
    samples, since = _samples(session, shown), hour_of(now) - (HOURS_SHOWN - 1) * HOUR
    hours = _hours(session, [row.fingerprint for row in shown], since)
    return Listed([_seen(row, samples, hours, since) for row in shown], last)


def find_error(session: Session, fingerprint: str, now: datetime) -> SeenError:
    """Return one error. Raises NotFound."""
    row = find(session, fingerprint)
    since = hour_of(now) - (HOURS_SHOWN - 1) * HOUR
    return _seen(row, _samples(session, [row]), _hours(session, [fingerprint], since), since)


def days_of(session: Session, fingerprint: str, now: datetime) -> list[Point]:
    """Return how many failures there were on each of the last days of UTC, the oldest first."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - (DAYS_SHOWN - 1) * DAY
    found = dict.fromkeys((since + n * DAY for n in range(DAYS_SHOWN)), 0)
    for began_at, number in _hours(session, [fingerprint], since).get(fingerprint, {}).items():
        day = began_at.replace(hour=0)
        found[day] = found.get(day, 0) + number
    return [Point(*one) for one in found.items()]


def latest_of(session: Session, fingerprint: str, limit: int = 10) -> Sequence[EndedRun]:
    """Return failures of this kind, those of the newest orders first."""
    query = by_index(select(EndedRun), RUNS, FINGERPRINT_INDEX)
    query = query.where(RUNS.c.fingerprint == fingerprint)
    return session.scalars(query.order_by(RUNS.c.order_id.desc()).limit(limit)).all()


def references_of(session: Session, runs: Iterable[EndedRun]) -> dict[str, str]:
    """Return the references of the orders of these runs, of those that have one."""
    ids = sorted({run.order_id for run in runs})
    query = select(ORDERS.c.id, ORDERS.c.reference).where(ORDERS.c.id.in_(ids))
    found = session.execute(query).all() if ids else ()
    return {row.id: row.reference for row in found if row.reference is not None}


def find(asked: Asked, fingerprint: str, *, lock: bool = False) -> Row[Any]:
    """Return the row of an error. Raises NotFound."""
    query: Select[Any] = select(ERRORS).where(ERRORS.c.fingerprint == fingerprint)
    row = asked.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no error {fingerprint[:64]}")
    return row


def _samples(session: Session, rows: Sequence[Row[Any]]) -> dict[str, tuple[str, str]]:
    """Return message and reason of the latest failures of these errors that are still there."""
    keys = {(row.order_id, row.run): row.fingerprint for row in rows}
    these = [and_(RUNS.c.order_id == order_id, RUNS.c.run == run) for order_id, run in sorted(keys)]
    columns = (RUNS.c.order_id, RUNS.c.run, RUNS.c.message, RUNS.c.reason)
    found = session.execute(select(*columns).where(or_(*these))) if keys else ()
    return {keys[one.order_id, one.run]: (one.message or "", one.reason or "") for one in found}


def _hours(
    session: Session, fingerprints: Sequence[str], since: datetime
) -> dict[str, dict[datetime, int]]:
    found: dict[str, dict[datetime, int]] = {}
    query = select(HOURS).where(HOURS.c.fingerprint.in_(fingerprints), HOURS.c.began_at >= since)
    for row in session.execute(query.order_by(HOURS.c.began_at)) if fingerprints else ():
        found.setdefault(row.fingerprint, {})[row.began_at] = row.number
    return found


def _seen(
    row: Row[Any],
    samples: Mapping[str, tuple[str, str]],
    hours: Mapping[str, Mapping[datetime, int]],
    since: datetime,
) -> SeenError:
    own = hours.get(row.fingerprint, {})
    times = [since + n * HOUR for n in range(HOURS_SHOWN)]
    course = [Point(at, own.get(at, 0)) for at in times]
    return SeenError(row, *samples.get(row.fingerprint, ("", "")), course)


def resolve(kernel: Kernel, fingerprint: str, by: By = BY_SYSTEM) -> bool:
    """Call an error mended; it opens by itself when it comes again. False when it is already.

    Raises NotFound.
    """
    with kernel.write_session() as session:
        row = find(session, fingerprint, lock=True)
        if not row.is_open:
            return False
        done: dict[str, Any] = {"resolved_by": by.who, "resolved_because": by.why}
        done |= {"is_open": False, "resolved_at": kernel.clock.sql()}
        this = update(ERRORS).where(ERRORS.c.fingerprint == fingerprint)
        session.execute(this.values(done))
        by.record(session, "error.resolve", f"error {fingerprint}", after=_named(row))
    return True


def reopen(kernel: Kernel, fingerprint: str, by: By = BY_SYSTEM) -> bool:
    """Open an error again that was resolved too early; False when it is open. Raises NotFound."""
    with kernel.write_session() as session:
        row = find(session, fingerprint, lock=True)
        if row.is_open:
            return False
        this = update(ERRORS).where(ERRORS.c.fingerprint == fingerprint)
        session.execute(this.values(is_open=True))
        before = {"resolved_at": rfc3339(row.resolved_at), "resolved_by": row.resolved_by}
        by.record(session, "error.reopen", f"error {fingerprint}", before=before, after=_named(row))
    return True


def _named(row: Row[Any]) -> dict[str, Any]:
    names = ("select_tag", "error_type", "place", "error_code", "number")
    return {name: getattr(row, name) for name in names}


def error_data(one: SeenError, *, tells_errors: bool = True) -> dict[str, Any]:
    """Describe an error to an operator; without ``tells_errors`` to a viewer."""
    row = one.row
    return {
        "fingerprint": row.fingerprint,
        "select_tag": row.select_tag,
        "error_type": row.error_type,
        "place": row.place,
        "error_code": row.error_code,
        "refusal": bool(row.is_refusal),
        "state": Which.OPEN if row.is_open else Which.RESOLVED,
        "count": row.number,
        "count_24h": sum(point.number for point in one.hours),
        "first_seen": rfc3339(row.first_seen),
        "last_seen": rfc3339(row.last_seen),
        "new_since": rfc3339(row.new_at),
        "came_back": one.came_back,
        "resolved_at": rfc3339(row.resolved_at),
        "resolved_by": row.resolved_by,
        "resolved_because": row.resolved_because,
        "order_id": row.order_id,
        "message": (one.said if tells_errors else one.reason) or None,
    }


def course_data(points: Iterable[Point]) -> list[dict[str, Any]]:
    """Describe how many failures there were over time."""
    return [{"began_at": rfc3339(one.began_at), "count": one.number} for one in points]


def written_place(place: Place | None) -> str | None:
    """Write where a page begins, for an address."""
    return None if place is None else f"{rfc3339(place.seen)}~{place.fingerprint}"


def place_of(text: str) -> Place | None:
    """Read where a page begins; None for what is no place."""
    seen, _, fingerprint = text.partition("~")
    at = moment(seen)
    known = 0 < len(fingerprint) <= FINGERPRINT
    return None if at is None or not known else Place(at, fingerprint)
