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

from sqlalchemy import Connection, Integer, Row, func, insert, literal_column, select

from kernel.db.clock import Clock
from kernel.db.tables.audit import ACTS, SEALS

# Acts are sealed at this age: most transactions that began before them have ended.
AGE = timedelta(minutes=1)
# An act below the sealed ones is taken for late at most for this long. After that it was inserted
# by other means, and `verify` says so.
LATE = timedelta(hours=1)
# New acts of one seal, and late ones.
BATCH = 200
# Acts are compared with what is known to be sealed in blocks of as many ids.
BLOCK = 1024
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


class SealedActs:
    """Which acts of the last hour are in seals, as one process has read it: it spares reading.

    In blocks of ids, so that a look asks how many acts a block has and what their ids add up to,
    and for ids only where that is not what is known. An hour of a bulk act is tens of thousands.
    """

    def __init__(self) -> None:
        self._blocks: dict[int, set[int]] = {}

    def late(self, connection: Connection, clock: Clock, last_id: int) -> list[int]:
        """Return ids of acts below ``last_id`` that no seal covers, the lowest first."""
        acts = (
            *(ACTS.c.id <= last_id, ACTS.c.at > clock.sql(-LATE)),
            ACTS.c.at <= clock.sql(-AGE),
        )
        asked = select(_BLOCK, func.count(), func.sum(ACTS.c.id)).where(*acts).group_by(_BLOCK)
        told = {int(block): (n, int(total)) for block, n, total in connection.execute(asked)}
        self._blocks = {block: self._blocks.get(block, set()) for block in told}
        found: list[int] = []
        for block in sorted(told):
            known = self._blocks[block]
            if (len(known), sum(known)) == told[block]:
                continue
            here = ACTS.c.id.between(block * BLOCK, block * BLOCK + BLOCK - 1)
            ids = connection.scalars(select(ACTS.c.id).where(here, *acts)).all()
            if missing := set(ids) - known:
                self._read(connection, min(missing))
                found += sorted(missing - known)
                if len(found) >= BATCH:
                    break
        return found[:BATCH]

    def _read(self, connection: Connection, from_id: int) -> None:
        """Note what is in seals that may cover an act with this id or a higher one."""
        since = select(SEALS.c.digests).where(SEALS.c.last_id >= from_id)
        for digests in connection.scalars(since):
            for one, _ in _read(digests):
                if (block := self._blocks.get(one // BLOCK)) is not None:
                    block.add(one)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """Acts that are to be sealed, and the newest seal, which the next one follows."""

    ids: tuple[int, ...]
    newest: int = 0
    last_id: int = 0
    previous: str = FIRST


def unsealed(connection: Connection, clock: Clock, known: SealedActs) -> Unsealed | None:
    """Return up to `BATCH` new acts that are old enough, and as many late ones; None without any.

    Three short queries where there is none.
    """
    row = connection.execute(_NEWEST).one_or_none()
    newest = () if row is None else (row.id, row.last_id, row.hash)
    last_id = 0 if row is None else row.last_id
    late = known.late(connection, clock, last_id)
    fresh = select(ACTS.c.id).where(ACTS.c.id > last_id, ACTS.c.at <= clock.sql(-AGE))
    ids = (*late, *connection.scalars(fresh.order_by(ACTS.c.id).limit(BATCH)))
    return Unsealed(ids, *newest) if ids else None


def seal(connection: Connection, clock: Clock, found: Unsealed) -> str:
    """Seal what was found, in the caller's transaction; return the seal as ``ID:HASH``.

    Raises IntegrityError when another process has sealed since: the caller rolls back, and its
    next turn seals what is left.
    """
    acts = connection.execute(select(ACTS).where(ACTS.c.id.in_(found.ids)).order_by(ACTS.c.id))
    row = {
        "id": found.newest + 1,
        "sealed_at": clock.now(),
        "last_id": max(found.last_id, *found.ids),
        "digests": "\n".join(f"{one.id} {digest(one)}" for one in acts),
        "previous": found.previous,
    }
    row["hash"] = _hash(row)
    connection.execute(insert(SEALS).values(row))
    return f"{row['id']}:{row['hash']}"


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


_BLOCK = (ACTS.c.id // literal_column(str(BLOCK), Integer)).label("block")
_NEWEST = select(SEALS.c.id, SEALS.c.last_id, SEALS.c.hash).order_by(SEALS.c.id.desc()).limit(1)
