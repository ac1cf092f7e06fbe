"""Callers, their keys and their signing secrets.

A key is 256 random bits, shown once and stored as its SHA-256: nobody can guess it, so a slow
hash would only slow us down, and looking it up by hash leaks nothing by timing. Signing secrets
must be read back to sign, so they are stored as they are; nothing prints them again.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, bindparam, exists, or_, select, update
from sqlalchemy.orm import Session

from kernel.callers.profile import CLOSED, CallerRules, granted
from kernel.db.tables.orders import ANONYMOUS, ApiKey, Caller, SigningSecret
from kernel.errors import ConfigurationError, Conflict, Forbidden, NotFound, Unauthenticated
from kernel.formats.signing import new_secret
from kernel.transport.addresses import CallbackPolicy

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
KEY_PREFIX = "kwo_"
OVERLAP = timedelta(hours=24)


class Scope(StrEnum):
    """What a key may do. ``operator`` sees and does everything, for every caller."""

    WRITE = "orders:write"
    READ = "orders:read"
    OPERATOR = "operator"


CALLERS_OWN = frozenset({Scope.WRITE, Scope.READ})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking: a caller, what its key may do, and what its callbacks may reach."""

    caller_id: int
    name: str
    scopes: frozenset[str] = CALLERS_OWN
    grants: CallbackPolicy = CLOSED
    # Which of the caller's keys; None without one.
    key_id: int | None = None

    @property
    def sees(self) -> int | None:
        """Whose orders and deliveries these credentials see: a caller's, or None for all."""
        return None if Scope.OPERATOR in self.scopes else self.caller_id

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the key has ``scope``, or is an operator's."""
        if not self.scopes & {scope, Scope.OPERATOR}:
            raise Forbidden(f"this key does not have the scope {scope}", scope=scope)


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


def identify(asking: Session | Connection, key: str, now: datetime) -> Identity:
    """Return whose key this is. Raises Unauthenticated for an unknown, expired or revoked one."""
    found = asking.execute(_IDENTIFY, {"hash": key_hash(key), "now": now}).one_or_none()
    if found is None:
        raise Unauthenticated
    return _identity(*found)


def identify_key(asking: Session | Connection, key_id: int, now: datetime) -> Identity:
    """Return whose key has this id, for who has shown it before.

    Raises Unauthenticated for one that is not there any more, expired or revoked.
    """
    found = asking.execute(_IDENTIFY_KEY, {"key_id": key_id, "now": now}).one_or_none()
    if found is None:
        raise Unauthenticated
    return _identity(*found)


def identity_of(session: Session, name: str = ANONYMOUS) -> Identity:
    """Return the caller of that name, as if it had asked itself. Raises NotFound.

    Orders without credentials (KERNEL_AUTH=off) belong to ``anonymous``, which is a caller too.
    """
    try:
        caller = find(session, name)
    except NotFound:
        if name != ANONYMOUS:
            raise
        raise ConfigurationError("the anonymous caller is missing: run `kernel migrate`") from None
    return _identity(caller.id, caller.name, caller.allow_nets, caller.allow_hosts)


_CALLERS: Any = Caller.__table__
_KEYS: Any = ApiKey.__table__
_HOLDS = (
    _KEYS.c.revoked_at.is_(None),
    or_(_KEYS.c.expires_at.is_(None), _KEYS.c.expires_at > bindparam("now")),
)
# Asked with every request: made once, and without the ORM.
_IN_FORCE = (
    select(
        *(_CALLERS.c.id, _CALLERS.c.name, _CALLERS.c.allow_nets, _CALLERS.c.allow_hosts),
        *(_KEYS.c.scopes, _KEYS.c.id.label("key_id")),
    )
    .join(_KEYS, _KEYS.c.caller_id == _CALLERS.c.id)
    .where(*_HOLDS)
)
_IDENTIFY = _IN_FORCE.where(_KEYS.c.key_hash == bindparam("hash"))
_IDENTIFY_KEY = _IN_FORCE.where(_KEYS.c.id == bindparam("key_id"))
# The key of ``key_id`` is in force ``now``: for a statement that does its work only then.
KEY_HOLDS = exists().where(_KEYS.c.id == bindparam("key_id"), *_HOLDS)


def _identity(
    caller_id: int,
    name: str,
    nets: str,
    hosts: str,
    scopes: str | None = None,
    key_id: int | None = None,
) -> Identity:
    return Identity(
        caller_id,
        name,
        CALLERS_OWN if scopes is None else frozenset(scopes.split()),
        granted(nets, hosts),
        key_id,
    )


def find(session: Session, name: str) -> Caller:
    """Return the caller of that name. Raises NotFound."""
    known = NAME.fullmatch(name)  # the column holds nothing else, and compares nothing else
    caller = session.scalar(select(Caller).where(Caller.name == name)) if known else None
    if caller is None:
        raise NotFound(f"there is no caller named {name}")
    return caller


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


def key_hash(key: str) -> str:
    """Return what is stored, and compared, instead of the key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


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
