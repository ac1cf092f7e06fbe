"""Callers and their keys and signing secrets: made, rotated, revoked."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from kernel.callers.callback_rules import CallerRules
from kernel.callers.identity import CALLERS_OWN, NAME, find, key_hash
from kernel.db.tables.callers import ApiKey, Caller, SigningSecret
from kernel.errors import Conflict, NotFound
from kernel.formats.signing import new_secret

KEY_PREFIX = "kwo_"
OVERLAP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """What a new key may do, and until when (None: until it is revoked)."""

    scopes: frozenset[str] = CALLERS_OWN
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `add` and the rotations hand out, once."""

    name: str
    api_key: SecretStr | None
    signing_secret: SecretStr | None


def add(
    session: Session,
    name: str,
    now: datetime,
    rules: CallerRules | None = None,
    terms: KeyTerms | None = None,
) -> Credentials:
    """Create a caller with a key and a signing secret, returned this once.

    Raises Conflict when the name is taken or malformed, ValueError for malformed rules.
    """
    if not NAME.fullmatch(name):
        raise Conflict(f"{name!r}: use letters, digits and _ . - (at most 100)")
    if session.scalar(select(Caller.id).where(Caller.name == name)) is not None:
        raise Conflict(f"there is a caller named {name} already")
    caller = Caller(name=name, created_at=now, allow_nets="[]", allow_hosts="[]", headers="{}")
    (rules or CallerRules()).apply(caller)
    session.add(caller)
    session.flush()
    key = _new_key(session, caller, now, terms)
    return Credentials(name, key, _new_signing_secret(session, caller, now))


def change(session: Session, name: str, rules: CallerRules) -> Caller:
    """Change what is set in ``rules``, leave the rest. Raises NotFound, ValueError."""
    caller = find(session, name)
    rules.apply(caller)
    return caller


def add_key(session: Session, name: str, now: datetime, terms: KeyTerms | None) -> Credentials:
    """Give the caller one more key; its others go on."""
    return Credentials(name, _new_key(session, find(session, name), now, terms), None)


def rotate_key(
    session: Session, name: str, now: datetime, terms: KeyTerms | None = None
) -> Credentials:
    """Give the caller a new key; the old ones stop working with this transaction."""
    caller = find(session, name)
    _revoke_keys(session, caller, now)
    return Credentials(name, _new_key(session, caller, now, terms), None)


def replace_key(session: Session, key_id: int, now: datetime) -> Credentials:
    """Give the key's caller a new one on the same terms; the old one stops working with this.

    Raises NotFound, and Conflict for a key that does not work any more.
    """
    key, caller = _key_in_force(session, key_id, now)
    key.revoked_at = now
    terms = KeyTerms(frozenset(key.scopes.split()), key.expires_at)
    return Credentials(caller.name, _new_key(session, caller, now, terms), None)


def revoke_key(session: Session, key_id: int, now: datetime) -> None:
    """Revoke one key. Raises NotFound, and Conflict for a key that does not work any more."""
    key, _ = _key_in_force(session, key_id, now)
    key.revoked_at = now


def _key_in_force(session: Session, key_id: int, now: datetime) -> tuple[ApiKey, Caller]:
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise Conflict(f"the key {key.prefix} is revoked or has expired")
    return key, session.get_one(Caller, key.caller_id)


def rotate_secret(
    session: Session, name: str, now: datetime, overlap: timedelta = OVERLAP
) -> Credentials:
    """Give the caller a new signing secret; the old one signs along for ``overlap``."""
    caller = find(session, name)
    session.execute(
        update(SigningSecret)
        .where(SigningSecret.caller_id == caller.id, SigningSecret.expires_at.is_(None))
        .values(expires_at=now + overlap)
    )
    return Credentials(name, None, _new_signing_secret(session, caller, now))


def revoke(session: Session, name: str, now: datetime) -> int:
    """Revoke every key of the caller, at once; return how many there were."""
    return _revoke_keys(session, find(session, name), now)


def _new_key(
    session: Session, caller: Caller, now: datetime, terms: KeyTerms | None = None
) -> SecretStr:
    terms = terms or KeyTerms()
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiKey(
            caller_id=caller.id,
            prefix=key[:12],
            key_hash=key_hash(key),
            scopes=" ".join(sorted(terms.scopes)),
            created_at=now,
            expires_at=terms.expires_at,
        )
    )
    return SecretStr(key)


def _new_signing_secret(session: Session, caller: Caller, now: datetime) -> SecretStr:
    secret = new_secret()
    session.add(SigningSecret(caller_id=caller.id, secret=secret, created_at=now))
    return SecretStr(secret)


def _revoke_keys(session: Session, caller: Caller, now: datetime) -> int:
    keys = session.scalars(
        select(ApiKey).where(ApiKey.caller_id == caller.id, ApiKey.revoked_at.is_(None))
    ).all()
    for key in keys:
        key.revoked_at = now
    return len(keys)
