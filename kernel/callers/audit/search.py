"""Acts are found here: by actor, verb, target and time, the newest first; and streamed by id."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from kernel.db.ids import ID
from kernel.db.tables.audit import ACTS, REFUSED_KEYS

PAGE = 50
# What has an id that a person may paste alone.
NOUNS_OF_IDS = ("order", "callback", "delivery", "bulk")
# A noun with a colon behind it.
SPOKEN = re.compile(r"\A([a-z]+): *")
# Rows that an export reads at once.
STREAMED = 500


@dataclass(frozen=True, slots=True)
class ActFilter:
    """Which acts; None means any. ``verb`` may be a noun alone.

    ``target``: its first words, with a colon behind the noun if one likes (``order:ID``); or an
    order's, callback's or job's id alone.
    """

    actor: str | None = None
    verb: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the filter as SQL conditions."""
        found: list[ColumnElement[bool]] = []
        if self.actor is not None:
            found.append(ACTS.c.actor == self.actor)
        if self.verb is not None:
            below = ACTS.c.verb.startswith(self.verb + ".", autoescape=True)
            found.append(or_(ACTS.c.verb == self.verb, below))
        if self.target is not None:
            found.append(_begins(self.target.strip()))
        if self.since is not None:
            found.append(ACTS.c.at >= self.since)
        if self.until is not None:
            found.append(ACTS.c.at < self.until)
        return found


def _begins(target: str) -> ColumnElement[bool]:
    """Ask for each way to write it: acts say ``order ID``."""
    named = (f"{noun} {target}" for noun in NOUNS_OF_IDS) if ID.fullmatch(target) else ()
    ways = (target, SPOKEN.sub(r"\1 ", target, count=1), *named)
    return or_(*(ACTS.c.target.startswith(way, autoescape=True) for way in dict.fromkeys(ways)))


def find(
    connection: Connection, wanted: ActFilter, before: int | None = None, limit: int = PAGE
) -> list[dict[str, Any]]:
    """Return acts, the newest first; ``before``: those with a lower id, for the next page."""
    query = select(ACTS).where(*wanted.conditions()).order_by(ACTS.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(ACTS.c.id < before)
    return [act_data(row) for row in connection.execute(query)]


def stream(connection: Connection, wanted: ActFilter) -> Iterator[dict[str, Any]]:
    """Yield acts, the oldest first, however many there are: a page in memory at a time."""
    after = 0
    while True:
        query = select(ACTS).where(*wanted.conditions(), ACTS.c.id > after)
        rows = connection.execute(query.order_by(ACTS.c.id).limit(STREAMED)).all()
        yield from map(act_data, rows)
        if len(rows) < STREAMED:
            return
        after = rows[-1].id


def refused(connection: Connection, limit: int = PAGE) -> list[dict[str, Any]]:
    """Return the counts of refused keys, the newest minute first."""
    c = REFUSED_KEYS.c
    query = select(REFUSED_KEYS).order_by(c.minute.desc(), c.network, c.prefix).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]


def act_data(row: Row[Any]) -> dict[str, Any]:
    """Return an act as people and programs see it."""
    found = dict(row._mapping)
    for name in ("before", "after"):
        found[name] = None if found[name] is None else json.loads(found[name])
    return found
