"""Since when each condition has held: rows that the process that sweeps keeps.

A condition that comes back within `CALM` has never been gone: one that comes and goes is told of
once.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from kernel.db.tables.operating.conditions import STANDING
from kernel.insight.conditions.rules import Condition, Severity
from kernel.insight.conditions.words import Words, sentence
from kernel.runtime.kernel import Kernel

CALM = timedelta(minutes=2)
# How long a row outlives its condition.
KEEP = timedelta(days=1)
SUBJECT = 400


class Ident(NamedTuple):
    """Which rule holds, and of what."""

    key: str
    subject: str


def ident(one: Condition) -> Ident:
    """Return a condition as its row is found: every database stores it."""
    return Ident(one.key, one.subject.encode("ascii", "replace").decode()[:SUBJECT])


def note(kernel: Kernel, found: Sequence[Condition], now: datetime) -> None:
    """Write which conditions have begun, and which have ended. One read where nothing changes.

    Raises the database's errors. Two processes that sweep at once write each row once.
    """
    with kernel.read() as connection:
        known = {Ident(row.key, row.subject): row for row in connection.execute(select(STANDING))}
    holds = {ident(one): one for one in found}
    begun = {at: one for at, one in holds.items() if at not in known or known[at].ended_at}
    ended = [at for at, row in known.items() if row.ended_at is None and at not in holds]
    forgotten = [at for at, row in known.items() if _is_old(row, now) and at not in holds]
    if not begun and not ended and not forgotten:
        return
    with suppress(IntegrityError), kernel.write() as connection:
        for at, one in begun.items():
            _begin(kernel, connection, known.get(at), one, now)
        for at in ended:
            connection.execute(update(STANDING).where(*_at(at)).values(ended_at=now))
        for at in forgotten:
            connection.execute(delete(STANDING).where(*_at(at)))


def _is_old(row: Row[Any], now: datetime) -> bool:
    return row.ended_at is not None and row.ended_at < now - KEEP


def _at(at: Ident) -> tuple[Any, Any]:
    return STANDING.c.key == at.key, STANDING.c.subject == at.subject


def _begin(
    kernel: Kernel, connection: Connection, row: Row[Any] | None, one: Condition, now: datetime
) -> None:
    said = sentence(Words(kernel.settings.language), one, now)
    values = {"severity": one.severity, "ended_at": None, "said": said}
    at = ident(one)
    if row is None:
        connection.execute(insert(STANDING).values(**at._asdict(), since=now, **values))
        return
    comes_back = row.ended_at is not None and row.ended_at > now - CALM
    since = row.since if comes_back else now
    connection.execute(update(STANDING).where(*_at(at)).values(since=since, **values))


def since_when(connection: Connection) -> dict[Ident, datetime]:
    """Return since when each condition holds, as far as a sweep has seen it."""
    asked = select(STANDING.c.key, STANDING.c.subject, STANDING.c.since)
    rows = connection.execute(asked.where(STANDING.c.ended_at.is_(None)))
    return {Ident(row.key, row.subject): row.since for row in rows}


def with_since(found: Iterable[Condition], known: Mapping[Ident, datetime]) -> list[Condition]:
    """Return conditions with the earlier of what the facts and what the rows tell."""
    dated = []
    for one in found:
        times = [at for at in (one.since, known.get(ident(one))) if at is not None]
        dated.append(replace(one, since=min(times, default=None)))
    return sorted(dated, key=lambda one: one.rank)


def open_troubles(connection: Connection) -> int:
    """Count the conditions that hold, without notices, as of the last sweep."""
    troubles = (STANDING.c.ended_at.is_(None), STANDING.c.severity != Severity.NOTICE)
    return connection.scalar(select(func.count()).select_from(STANDING).where(*troubles)) or 0
