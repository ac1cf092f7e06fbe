"""People and their keys: added, changed, disabled, removed, and known by a provider's word.

A person's keys are rows beside the callers' keys, of the anonymous caller: a person submits no
orders. What a key of a person may do is the person's role of now.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.identity import find, key_hash
from kernel.callers.keys import KEY_PREFIX, PREFIX_LENGTH
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import end_sessions
from kernel.callers.people.signed_in import SignedIn
from kernel.config.near import did_you_mean
from kernel.db.tables.callers import ANONYMOUS, ApiKey
from kernel.db.tables.people import Person
from kernel.db.transactions import unless_taken
from kernel.errors import Conflict, Forbidden, NotFound

NAME_LENGTH = 100


def add_person(
    session: Session, name: str, role: Role, now: datetime, by: By = BY_SYSTEM
) -> SecretStr:
    """Add a person and return their first key, this once.

    Raises Conflict when the name is taken or malformed.
    """
    if not is_name(name):
        raise Conflict(f"{name!r}: use 1 to {NAME_LENGTH} printable characters, no space around")
    taken = f"there is a person named {name} already"
    if _named(session, name) is not None:
        raise Conflict(taken)
    person = Person(name=name, role=role, created_at=now)
    session.add(person)
    with unless_taken(taken):
        session.flush()
    key = new_key(session, person, now)
    _record(session, by, "person.add", person, after={"role": role, "key": _shown(key)})
    return key


def new_key(session: Session, person: Person, now: datetime) -> SecretStr:
    """Give a person one more key. Raises Conflict for a person who is disabled."""
    if person.disabled_at is not None:
        raise Conflict(f"{person.name} is disabled: no key lets them in")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    owner = find(session, ANONYMOUS)
    made = ApiKey(
        caller_id=owner.id, prefix=key[:PREFIX_LENGTH], key_hash=key_hash(key), created_at=now
    )
    made.scopes, made.person_id = "", person.id
    session.add(made)
    return SecretStr(key)


def replace_keys(session: Session, person: Person, now: datetime, by: By = BY_SYSTEM) -> SecretStr:
    """Give a person a new key; the old ones, and their sessions, end with this transaction."""
    before = _revoke_keys(session, person, now)
    ended = end_sessions(session, person_id=person.id)
    key = new_key(session, person, now)
    after = {"prefix": _shown(key), "ended_sessions": ended}
    _record(session, by, "key.rotate", person, before={"keys": before}, after=after)
    return key


def set_role(session: Session, person: Person, role: Role, by: By = BY_SYSTEM) -> None:
    """Change what a person may do, from their next request on.

    Raises Conflict for a person of a provider, whose groups say it at each sign-in.
    """
    if person.issuer is not None:
        raise Conflict(f"{person.name} signs in at {person.issuer}, whose groups give the role")
    before, person.role = _told(person), role
    if before != _told(person):
        _record(session, by, "person.set", person, before=before, after=_told(person))


def disable(session: Session, person: Person, now: datetime, by: By = BY_SYSTEM) -> None:
    """Keep a person out: their keys and sessions end with this transaction."""
    was_enabled = person.disabled_at is None
    if was_enabled:
        person.disabled_at = now
    keys = _revoke_keys(session, person, now)
    ended = end_sessions(session, person_id=person.id)
    if was_enabled or keys or ended:
        told = {"before": {"keys": keys}, "after": {"ended_sessions": ended}}
        _record(session, by, "person.disable", person, **told)


def enable(session: Session, person: Person, by: By = BY_SYSTEM) -> None:
    """Let a person in again, with a new key or by their provider; old keys stay revoked."""
    if person.disabled_at is not None:
        person.disabled_at = None
        _record(session, by, "person.enable", person)


def remove(session: Session, person: Person, by: By = BY_SYSTEM) -> None:
    """Delete a person, their keys and their sessions with this transaction.

    A person of a provider who signs in there again is added anew: disable them instead.
    """
    before = _told(person) | {"keys": _keys(session, person)}
    _record(session, by, "person.remove", person, before=before)
    end_sessions(session, person_id=person.id)
    session.execute(delete(ApiKey).where(ApiKey.person_id == person.id))
    session.delete(person)


def find_person(session: Session, name: str) -> Person:
    """Return the person of that name. Raises NotFound."""
    person = _named(session, name) if is_name(name) else None
    if person is None:
        others = session.scalars(select(Person.name).order_by(Person.id).limit(1000))
        raise NotFound(f"there is no person named {name}{did_you_mean(name, others)}")
    return person


def holder_of(session: Session, prefix: str) -> Person | None:
    """Return the person of whom a key that is not revoked begins with ``prefix``; None for none.

    For commands that know callers' keys alone: a key that was found somewhere may be a person's.
    """
    begins = ApiKey.prefix.startswith(prefix.rstrip("….")[:PREFIX_LENGTH], autoescape=True)
    asked = select(Person).join(ApiKey, ApiKey.person_id == Person.id)
    return session.scalars(asked.where(begins, ApiKey.revoked_at.is_(None)).limit(1)).first()


def person_of(session: Session, signed_in: SignedIn, now: datetime, by: By = BY_SYSTEM) -> Person:
    """Return the person whom a provider vouches for, added or brought up to date.

    Issuer and subject are ASCII of at most 255 characters; the subject is the provider's id of
    the person, which no other person gets. A name that another person has is numbered. Raises
    Forbidden for a person who is disabled.
    """
    issuer, subject, role = signed_in.issuer, signed_in.subject, signed_in.role
    asked = select(Person).where(Person.issuer == issuer, Person.subject == subject)
    person = session.scalar(asked)
    if person is None:
        person = Person(issuer=issuer, subject=subject, created_at=now, role=role)
        person.name = _free_name(session, signed_in.name, None)
        session.add(person)
        session.flush()
        _record(session, by, "person.add", person, after={"role": role, "subject": subject})
        return person
    if person.disabled_at is not None:
        raise Forbidden(f"{person.name} is disabled")
    before = _told(person)
    person.name, person.role = _free_name(session, signed_in.name, person), role
    if before != _told(person):
        _record(session, by, "person.set", person, before=before, after=_told(person))
    return person


def is_name(name: str) -> bool:
    """Tell whether a person can be called that: printable, and no space around it."""
    return 0 < len(name) <= NAME_LENGTH and name.isprintable() and name == name.strip()


def _named(session: Session, name: str) -> Person | None:
    return session.scalar(select(Person).where(Person.name == name))


def _free_name(session: Session, name: str, person: Person | None) -> str:
    """Return ``name`` as a person can have it, with a number when another person has it."""
    seen = "".join(one for one in name if one.isprintable()).strip()
    wanted, number = seen[: NAME_LENGTH - 8].strip() or "?", 1
    free = wanted
    while (holder := _named(session, free)) is not None and holder is not person:
        number += 1
        free = f"{wanted} ({number})"
    return free


def _keys(session: Session, person: Person) -> Sequence[str]:
    """Return the first characters of a person's keys that are not revoked."""
    mine = select(ApiKey.prefix).where(ApiKey.person_id == person.id, ApiKey.revoked_at.is_(None))
    return session.scalars(mine.order_by(ApiKey.id)).all()


def _revoke_keys(session: Session, person: Person, now: datetime) -> Sequence[str]:
    """Revoke a person's keys; return the first characters of each."""
    revoked = _keys(session, person)
    mine = update(ApiKey).where(ApiKey.person_id == person.id, ApiKey.revoked_at.is_(None))
    session.execute(mine.values(revoked_at=now))
    return revoked


def _shown(key: SecretStr) -> str:
    return key.get_secret_value()[:PREFIX_LENGTH]


def _told(person: Person) -> dict[str, Any]:
    """Say of a person what an act tells; its target says who it is."""
    return {"name": person.name, "role": str(person.role)}


def _record(session: Session, by: By, verb: str, person: Person, **told: Any) -> None:
    by.record(session, verb, f"person {person.name}", **told)
