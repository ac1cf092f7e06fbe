"""What a key may do, from where, and until when; and which keys of an installation lack an end."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from kernel.callers.identity import CALLERS_OWN, Scope, key_in_force
from kernel.config.near import check_network
from kernel.db.tables.callers import ApiKey, Caller
from kernel.db.tables.people import PEOPLE
from kernel.handlers.registering.refusals import TAG

# A key that ends within this time is about to.
SOON = timedelta(days=14)
# A key that was used within this time is still needed.
USED = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a new key may do, and until when (None: until it is revoked).

    ``tags`` limits it to orders of these, ``networks`` to addresses in these (CIDR); None limits
    nothing. Raises ValueError, which says what cannot be a limit.
    """

    scopes: frozenset[str] = CALLERS_OWN
    expires_at: datetime | None = None
    tags: frozenset[str] | None = None
    networks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse limits that would not limit, or allow nothing."""
        for tag in self.tags or ():
            if not TAG.fullmatch(tag):
                raise ValueError(f"{tag[:100]!r} is not a select_tag")
        if self.tags is not None and Scope.OPERATOR in self.scopes:
            raise ValueError("an operator's key sees every order: it cannot be limited to tags")
        if self.tags == frozenset() or self.networks == ():
            raise ValueError("a key that is limited to nothing is of no use: revoke it instead")
        for network in self.networks or ():
            check_network(network)

    @property
    def columns(self) -> dict[str, Any]:
        """Return the terms as the columns of the key's row."""
        return {
            "scopes": " ".join(sorted(self.scopes)),
            "expires_at": self.expires_at,
            "tags": None if self.tags is None else " ".join(sorted(self.tags)),
            "networks": None if self.networks is None else " ".join(self.networks),
        }


def limits(given: Iterable[str]) -> tuple[str, ...] | None:
    """Return tags or networks as `KeyTerms` takes them: no word at all limits nothing."""
    return tuple(dict.fromkeys(given)) or None


def terms_of(session: Session, key: ApiKey, now: datetime, days: float) -> KeyTerms:
    """Return the terms of a key for the one that replaces it ``now``.

    It lasts as long as the old one was made for, and ``days`` days where that had no end. Of a key
    that was rotated with an overlap, the row has the end of that: the key that took its place, a
    newer one that may do the same, says what it was made for.
    """
    newer = session.scalars(
        select(ApiKey).where(
            *(ApiKey.caller_id == key.caller_id, ApiKey.person_id.is_(None)),
            *(ApiKey.id > key.id, ApiKey.scopes == key.scopes),
        )
    )
    alike = [one for one in newer if (one.tags, one.networks) == (key.tags, key.networks)]
    # The longest: one that was made beside it for a few days has not taken its place.
    lasts = max(_lasts(one, days) for one in (key, *alike))
    return KeyTerms(
        frozenset(key.scopes.split()),
        now + lasts,
        None if key.tags is None else frozenset(key.tags.split()),
        None if key.networks is None else tuple(key.networks.split()),
    )


def _lasts(key: ApiKey, days: float) -> timedelta:
    return timedelta(days=days) if key.expires_at is None else key.expires_at - key.created_at


def is_needed(key: Any, lasting: Collection[int], now: datetime) -> bool:
    """Tell whether the end of a caller's key is to be told of; ``lasting``: who has one for longer.

    A key that was replaced ends soon too, by design: it is told of only while a caller uses it, or
    when the caller has none that lasts longer.
    """
    is_used = key.used_at is not None and key.used_at > now - USED
    return key.caller_id not in lasting or (is_used and key.expires_at > now)


def warnings(asking: Session | Connection, now: datetime) -> list[str]:
    """Return a sentence for keys that never end, and one for those that end within `SOON`.

    Of those that end, one that was replaced and is used no more is not named (`is_needed`). Those
    of people have sentences of their own, for another command replaces them.
    """
    keys: Any = ApiKey.__table__
    found = asking.execute(
        select(
            *(keys.c.prefix, keys.c.expires_at, keys.c.person_id),
            *(keys.c.caller_id, keys.c.used_at),
            func.coalesce(PEOPLE.c.name, Caller.name).label("name"),
        )
        .join(Caller, Caller.id == keys.c.caller_id)
        .outerjoin(PEOPLE, PEOPLE.c.id == keys.c.person_id)
        .where(*key_in_force(now))
        .order_by(keys.c.expires_at, keys.c.id)
    ).all()
    said = []
    for whose, of_people, command in _WHOSE:
        theirs = [one for one in found if (one.person_id is not None) is of_people]
        endless = [one for one in theirs if one.expires_at is None]
        soon = [one for one in theirs if one.expires_at and one.expires_at <= now + SOON]
        later = [one for one in theirs if one.expires_at and one.expires_at > now + SOON]
        lasting = {one.caller_id for one in (*endless, *later)}
        ending = [one for one in soon if is_needed(one, lasting, now)]
        for words, some in (
            ("without an end", endless),
            (f"that end within {SOON.days} days", ending),
        ):
            if some:
                said.append(f"{whose} {words}: {', '.join(_shown(some))} ({command})")
    return said


_WHOSE = (
    ("keys", False, "kernel callers rotate-key NAME --key PREFIX"),
    ("keys of people", True, "kernel people set NAME --new-key"),
)


def _shown(some: Sequence[Any], most: int = 5) -> list[str]:
    """Name the first of these keys, and how many there are more."""
    more = [f"and {len(some) - most} more"] if len(some) > most else []
    return [f"{one.prefix} of {one.name}" for one in some[:most]] + more
