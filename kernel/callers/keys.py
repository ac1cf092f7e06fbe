"""Callers and their keys and signing secrets: made, rotated, revoked."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.audit.callers import key_facts, rules_facts
from kernel.callers.callback_rules import CallerRules
from kernel.callers.identity import NAME, find, key_hash, key_in_force
from kernel.callers.key_terms import KeyTerms, terms_of
from kernel.db.tables.callers import ApiKey, Caller, SigningSecret
from kernel.db.tables.sealed import seal
from kernel.db.transactions import unless_taken
from kernel.errors import Conflict, NotFound
from kernel.formats.signing import new_secret

__all__ = ["KeyTerms"]
KEY_PREFIX = "kwo_"
# How much of a key is stored as it is, and how much of that names a key to a command.
PREFIX_LENGTH, LEAST_PREFIX = 12, 8
PREFIX = re.compile(r"[A-Za-z0-9_-]+")
OVERLAP = timedelta(hours=24)
AT_ONCE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `add` and the rotations hand out, once."""

    name: str
    api_key: SecretStr | None
    signing_secret: SecretStr | None
    # When the key ends; None: never.
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rotated:
    """The keys that a new one replaces, and how long they work beside it."""

    old: Sequence[ApiKey]
    now: datetime
    overlap: timedelta

    def end(self) -> dict[str, Any]:
        """Have each work for ``overlap`` more, and never longer than it would have.

        Returns what an act tells of them.
        """
        until = self.now + self.overlap
        for key in self.old:
            if self.overlap <= AT_ONCE:
                key.revoked_at = self.now
            elif key.expires_at is None or key.expires_at > until:
                key.expires_at = until
        told = {"keys": [key.prefix for key in self.old]}
        return told | ({"work_until": until} if self.overlap > AT_ONCE else {})


def add(
    session: Session,
    name: str,
    now: datetime,
    rules: CallerRules | None = None,
    terms: KeyTerms | None = None,
    by: By = BY_SYSTEM,
) -> Credentials:
    """Create a caller with a key and a signing secret, returned this once.

    Raises Conflict when the name is taken or malformed, ValueError for malformed rules.
    """
    if not NAME.fullmatch(name):
        raise Conflict(f"{name!r}: use letters, digits and _ . - (at most 100)")
    taken = f"there is a caller named {name} already"
    if session.scalar(select(Caller.id).where(Caller.name == name)) is not None:
        raise Conflict(taken)
    caller = Caller(name=name, created_at=now, allow_nets="[]", allow_hosts="[]", headers="{}")
    (rules or CallerRules()).apply(caller)
    session.add(caller)
    with unless_taken(taken):
        session.flush()
    key = _new_key(session, caller, now, terms)
    told = rules_facts(caller) | {"key": key_facts(key, terms)}
    by.record(session, "caller.add", f"caller {name}", after=told)
    secret = _new_signing_secret(session, caller, now)
    return Credentials(name, key, secret, terms.expires_at if terms else None)


def change(session: Session, name: str, rules: CallerRules, by: By = BY_SYSTEM) -> Caller:
    """Change what is set in ``rules``, leave the rest. Raises NotFound, ValueError."""
    caller = find(session, name)
    before = rules_facts(caller)
    rules.apply(caller)
    told = {"before": before, "after": rules_facts(caller)}
    by.record(session, "caller.set", f"caller {name}", **told)
    return caller


def add_key(
    session: Session,
    name: str,
    now: datetime,
    terms: KeyTerms | None = None,
    by: By = BY_SYSTEM,
) -> Credentials:
    """Give the caller one more key; its others go on."""
    caller = find(session, name)
    key = _new_key(session, caller, now, terms)
    by.record(session, "key.add", f"caller {name}", after=key_facts(key, terms))
    return Credentials(name, key, None, terms.expires_at if terms else None)


def rotate_key(
    session: Session,
    name: str,
    now: datetime,
    terms: KeyTerms | None = None,
    overlap: timedelta = AT_ONCE,
    by: By = BY_SYSTEM,
) -> Credentials:
    """Give the caller a new key; the old ones work for ``overlap`` more, or end with this."""
    caller = find(session, name)
    rotated = Rotated(_in_force(session, caller, now), now, overlap)
    return _rotate(session, caller, rotated, terms, by)


def common_terms(session: Session, name: str, now: datetime, days: float) -> KeyTerms:
    """Return the terms for the one key that replaces all keys of a caller, as `terms_of` does.

    Those of the keys in force; where none is, of the newest key; of a new caller's where there is
    none. Raises Conflict when the keys differ in what they may do.
    """
    caller = find(session, name)
    found = _in_force(session, caller, now)
    if len({(key.scopes, key.tags, key.networks) for key in found}) > 1:
        raise Conflict(
            f"the keys of {name} differ in what they may do: name the one to rotate with --key "
            + " or ".join(key.prefix for key in found)
        )
    past = select(ApiKey).where(ApiKey.caller_id == caller.id, ApiKey.person_id.is_(None))
    past = past.order_by(ApiKey.id.desc())
    newest = found[-1] if found else session.scalars(past).first()
    if newest is None:
        return KeyTerms(expires_at=now + timedelta(days=days))
    return terms_of(session, newest, now, days)


def replace_key(
    session: Session,
    key: ApiKey,
    now: datetime,
    terms: KeyTerms,
    overlap: timedelta = AT_ONCE,
    by: By = BY_SYSTEM,
) -> Credentials:
    """Give the key's caller a new one; the old one works for ``overlap`` more, or ends with this.

    ``key`` and ``terms`` come from `working_key` and `terms_of`.
    """
    rotated = Rotated([key], now, overlap)
    return _rotate(session, session.get_one(Caller, key.caller_id), rotated, terms, by)


def find_key(session: Session, prefix: str, now: datetime, name: str | None = None) -> ApiKey:
    """Return a caller's key in force that begins with ``prefix``; of the caller of that name alone.

    A person's key is none: `kernel people set` replaces it. Raises NotFound, and Conflict for a
    prefix that is too short or fits several keys: then nothing is changed, and the message names
    them.
    """
    prefix = prefix.rstrip("….")
    if not PREFIX.fullmatch(prefix) or len(prefix) < LEAST_PREFIX:
        raise Conflict(f"give the first {LEAST_PREFIX} to {PREFIX_LENGTH} characters of the key")
    query = select(ApiKey, Caller.name).join(Caller, Caller.id == ApiKey.caller_id)
    stored = ApiKey.prefix.startswith(prefix[:PREFIX_LENGTH], autoescape=True)
    query = query.where(stored, *_of_callers(now)).order_by(ApiKey.id)
    if name is not None:
        query = query.where(Caller.id == find(session, name).id)
    found = session.execute(query).all()
    if len(prefix) > PREFIX_LENGTH:  # most of a key: it may be another one with the same beginning
        found = [one for one in found if one[0].key_hash == key_hash(prefix)]
    if len(found) > 1:
        named = ", ".join(f"{key.prefix} of {owner}" for key, owner in found)
        raise Conflict(f"{prefix} is the beginning of {len(found)} keys: {named}; give more of it")
    if not found:
        raise NotFound(f"no key in force begins with {prefix[:PREFIX_LENGTH]}")
    key: ApiKey = found[0][0]
    return key


def revoke_key(session: Session, key_id: int, now: datetime, by: By = BY_SYSTEM) -> None:
    """Revoke one key. Raises NotFound, and Conflict for a key that does not work any more."""
    key = working_key(session, key_id, now)
    key.revoked_at = now
    name = session.get_one(Caller, key.caller_id).name
    by.record(session, "key.revoke", f"caller {name}", before={"keys": [key.prefix]})


def working_key(session: Session, key_id: int, now: datetime) -> ApiKey:
    """Return the key of that id. Raises NotFound, Conflict for one that works no more."""
    key = session.get(ApiKey, key_id)
    if key is None or key.person_id is not None:
        raise NotFound
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise Conflict(f"the key {key.prefix} is revoked or has expired")
    return key


def rotate_secret(
    session: Session,
    name: str,
    now: datetime,
    overlap: timedelta = OVERLAP,
    by: By = BY_SYSTEM,
) -> Credentials:
    """Give the caller a new signing secret; the old one signs along for ``overlap``."""
    caller = find(session, name)
    session.execute(
        update(SigningSecret)
        .where(SigningSecret.caller_id == caller.id, SigningSecret.expires_at.is_(None))
        .values(expires_at=now + overlap)
    )
    by.record(session, "secret.rotate", f"caller {name}", after={"old_signs_until": now + overlap})
    return Credentials(name, None, _new_signing_secret(session, caller, now))


def revoke(session: Session, name: str, now: datetime, by: By = BY_SYSTEM) -> int:
    """Revoke every key of the caller, at once; return how many there were."""
    revoked = _revoke_keys(session, find(session, name), now)
    if revoked:
        by.record(session, "key.revoke", f"caller {name}", before={"keys": revoked})
    return len(revoked)


def _rotate(
    session: Session, caller: Caller, rotated: Rotated, terms: KeyTerms | None, by: By
) -> Credentials:
    before = rotated.end()
    key = _new_key(session, caller, rotated.now, terms)
    told = {"before": before, "after": key_facts(key, terms)}
    by.record(session, "key.rotate", f"caller {caller.name}", **told)
    return Credentials(caller.name, key, None, terms.expires_at if terms else None)


def _new_key(
    session: Session, caller: Caller, now: datetime, terms: KeyTerms | None = None
) -> SecretStr:
    terms = terms or KeyTerms()
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiKey(
            caller_id=caller.id,
            prefix=key[:PREFIX_LENGTH],
            key_hash=key_hash(key),
            created_at=now,
            **terms.columns,
        )
    )
    return SecretStr(key)


def _new_signing_secret(session: Session, caller: Caller, now: datetime) -> SecretStr:
    secret = SecretStr(new_secret())
    stored = seal(session, secret)
    session.add(SigningSecret(caller_id=caller.id, secret=stored, created_at=now))
    return secret


def _revoke_keys(session: Session, caller: Caller, now: datetime) -> list[str]:
    """Revoke every key; return the first characters of each."""
    keys = session.scalars(
        select(ApiKey).where(
            *(ApiKey.caller_id == caller.id, ApiKey.person_id.is_(None)),
            ApiKey.revoked_at.is_(None),
        )
    ).all()
    for key in keys:
        key.revoked_at = now
    return [key.prefix for key in keys]


def _in_force(session: Session, caller: Caller, now: datetime) -> Sequence[ApiKey]:
    query = select(ApiKey).where(ApiKey.caller_id == caller.id, *_of_callers(now))
    return session.scalars(query.order_by(ApiKey.id)).all()


def _of_callers(now: datetime) -> tuple[Any, ...]:
    """Return the conditions of a key in force that is no person's: those are rows of anonymous."""
    return *key_in_force(now), ApiKey.person_id.is_(None)
