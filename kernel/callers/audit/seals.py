"""Seals over acts: a hash over the rows and over the seal before, so that an alteration shows.

A chain inside the acts would have every change wait for the one before it. So acts are plain
inserts, and a job of the workers seals those that are older than a minute. Ids have gaps (a change
that was rolled back), and an act may be committed after its neighbours were sealed: a seal names
each act that it covers, and one that is late stands in a later seal.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from kernel.db.clock import Clock
from kernel.db.tables.audit import ACTS, SEALS

# Acts are sealed at this age: most transactions that began before them have ended.
AGE = timedelta(minutes=1)
# An act below the sealed ones is taken for late at most for this long. After that it was inserted
# by other means, and `verify` says so.
LATE = timedelta(hours=1)
# New acts of one seal, and late ones.
BATCH = 200
FIRST = "0" * 64
_WRITTEN = [one for one in ACTS.c if one.name not in ("id", "at")]


@dataclass(slots=True)
class Findings:
    """What `verify` found. ``waiting``: acts that no seal covers yet, which is no problem."""

    seals: int = 0
    sealed: int = 0
    waiting: int = 0
    # The newest seal's hash: kept elsewhere, it shows when the newest seals are taken off.
    head: str = FIRST
    problems: list[str] = field(default_factory=list)


def digest(act: Row[Any]) -> str:
    """Return the SHA-256 of an act's row, the same on every database."""
    at = act.at.astimezone(UTC).isoformat(timespec="microseconds")
    parts = [act.id, at, *(act._mapping[one] for one in _WRITTEN)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def seal(connection: Connection, clock: Clock) -> str | None:
    """Seal up to `BATCH` acts in the caller's transaction; return the seal as ``ID:HASH``.

    None when there is nothing to seal. Raises IntegrityError when another process has sealed first:
    the caller rolls back, and its next turn seals what is left.
    """
    newest = connection.execute(_NEWEST).one_or_none()
    last_id = 0 if newest is None else newest.last_id
    acts = _unsealed(connection, clock, last_id)
    if not acts:
        return None
    row = {
        "id": 1 if newest is None else newest.id + 1,
        "sealed_at": clock.now(),
        "last_id": max(last_id, *(one.id for one in acts)),
        "digests": "\n".join(f"{one.id} {digest(one)}" for one in acts),
        "previous": FIRST if newest is None else newest.hash,
    }
    row["hash"] = _hash(row)
    connection.execute(insert(SEALS).values(row))
    return f"{row['id']}:{row['hash']}"


def is_due(connection: Connection, clock: Clock) -> bool:
    """Tell whether there is an act to seal. Three short queries."""
    newest = connection.execute(_NEWEST).one_or_none()
    return bool(_unsealed(connection, clock, 0 if newest is None else newest.last_id))


def _unsealed(connection: Connection, clock: Clock, last_id: int) -> list[Row[Any]]:
    """Return acts that are old enough and in no seal; those that are late come first."""
    old_enough = ACTS.c.at <= clock.sql(-AGE)
    late = select(ACTS).where(ACTS.c.id <= last_id, ACTS.c.at > clock.sql(-LATE), old_enough)
    found: list[Row[Any]] = []
    if maybe := connection.execute(late.order_by(ACTS.c.id)).all():
        covered = set(_covered(connection, clock, maybe[0].id))
        found = [one for one in maybe if one.id not in covered][:BATCH]
    fresh = select(ACTS).where(ACTS.c.id > last_id, old_enough).order_by(ACTS.c.id)
    return [*found, *connection.execute(fresh.limit(BATCH)).all()]


def _covered(connection: Connection, clock: Clock, from_id: int) -> Iterator[int]:
    """Yield the ids in seals that may cover an act with this id or a higher one."""
    since = select(SEALS.c.digests).where(SEALS.c.last_id >= from_id)
    for digests in connection.scalars(since):
        yield from (one for one, _ in _read(digests))


def verify(connection: Connection, clock: Clock) -> Findings:
    """Look at every seal and every act. Reads all of them, a seal's worth at a time."""
    found = Findings()
    last_id, previous = 0, FIRST
    left: dict[int, datetime] = {}
    newest = connection.scalar(select(func.max(SEALS.c.id))) or 0
    for number in range(1, newest + 1):
        one = connection.execute(select(SEALS).where(SEALS.c.id == number)).one_or_none()
        if one is None:
            found.problems.append(f"seal {number} is missing")
            continue
        _check_seal(found, one, previous)
        previous = one.hash
        acts = ACTS.c.id <= one.last_id
        for act in connection.execute(
            select(ACTS.c.id, ACTS.c.at).where(acts, ACTS.c.id > last_id if number > 1 else acts)
        ):
            left[act.id] = act.at
        last_id = max(last_id, one.last_id)
        for act_id in _check_acts(found, connection, one):
            left.pop(act_id, None)
    found.head = f"{newest}:{previous}"
    limit = clock.now() - LATE
    inserted = sorted(act_id for act_id, at in left.items() if at < limit)
    found.problems += [f"act {one} was inserted: no seal covers it" for one in inserted]
    above = select(func.count()).select_from(ACTS).where(ACTS.c.id > last_id)
    found.waiting = (connection.scalar(above) or 0) + len(left) - len(inserted)
    return found


def _check_seal(found: Findings, one: Row[Any], previous: str) -> None:
    found.seals += 1
    if one.hash != _hash(one._mapping):
        found.problems.append(f"seal {one.id} was altered")
    if one.previous != previous:
        found.problems.append(f"seal {one.id} does not follow the one before it")


def _check_acts(found: Findings, connection: Connection, one: Row[Any]) -> Iterator[int]:
    """Compare the acts that a seal covers with what it says of them; yield their ids."""
    told = dict(_read(one.digests))
    rows = connection.execute(select(ACTS).where(ACTS.c.id.in_(told))).all()
    there = {row.id: digest(row) for row in rows}
    for act_id, said in told.items():
        found.sealed += 1
        if act_id not in there:
            found.problems.append(f"act {act_id} was deleted (seal {one.id})")
        elif there[act_id] != said:
            found.problems.append(f"act {act_id} was altered (seal {one.id})")
        yield act_id


def hash_of(connection: Connection, number: int) -> str | None:
    """Return the hash of a seal; None when there is no such seal."""
    found: str | None = connection.scalar(select(SEALS.c.hash).where(SEALS.c.id == number))
    return found


def _read(digests: str) -> Iterator[tuple[int, str]]:
    for line in digests.splitlines():
        number, _, said = line.partition(" ")
        if number.isascii() and number.isdigit():  # an altered line is no number
            yield int(number), said


def _hash(row: Any) -> str:
    at = row["sealed_at"].astimezone(UTC).isoformat(timespec="microseconds")
    parts = [row["id"], at, row["last_id"], row["digests"], row["previous"]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


_NEWEST = select(SEALS.c.id, SEALS.c.last_id, SEALS.c.hash).order_by(SEALS.c.id.desc()).limit(1)
