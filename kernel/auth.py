"""Callers, their keys and their signing secrets.

A key is 256 random bits, shown once and stored as its SHA-256: nobody can guess it, so a slow
hash would only slow us down, and looking it up by hash leaks nothing by timing. Signing secrets
must be read back to sign, so they are stored as they are; nothing prints them again.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from kernel.addresses import CallbackPolicy
from kernel.errors import ConfigurationError, Conflict, NotFound, Unauthenticated
from kernel.models import ANONYMOUS, ApiKey, Caller, SigningSecret
from kernel.signing import new_secret

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
KEY_PREFIX = "kwo_"
OVERLAP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking: a caller, and what its callbacks may reach beyond the global rules."""

    caller_id: int
    name: str
    allow_nets: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()

    def policy(self, base: CallbackPolicy) -> CallbackPolicy:
        """Return the global callback policy opened by what was granted to this caller."""
        if not (self.allow_nets or self.allow_hosts):
            return base
        return base.merge(CallbackPolicy.from_strings(self.allow_nets, self.allow_hosts))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `add` and the rotations hand out, once."""

    name: str
    api_key: SecretStr | None
    signing_secret: SecretStr | None


def identify(session: Session, key: str) -> Identity:
    """Return whose key this is. Raises Unauthenticated for an unknown or revoked one."""
    found = session.execute(
        select(*_IDENTITY)
        .join(ApiKey, ApiKey.caller_id == Caller.id)
        .where(ApiKey.key_hash == _hash(key), ApiKey.revoked_at.is_(None))
    ).one_or_none()
    if found is None:
        raise Unauthenticated
    return _identity(*found)


def anonymous(session: Session) -> Identity:
    """Return the caller that orders without credentials belong to (KERNEL_AUTH=off)."""
    found = session.execute(select(*_IDENTITY).where(Caller.name == ANONYMOUS)).one_or_none()
    if found is None:
        raise ConfigurationError("the anonymous caller is missing: run `kernel migrate`")
    return _identity(*found)


_IDENTITY = (Caller.id, Caller.name, Caller.allow_nets, Caller.allow_hosts)


def _identity(caller_id: int, name: str, nets: str, hosts: str) -> Identity:
    return Identity(caller_id, name, tuple(json.loads(nets)), tuple(json.loads(hosts)))


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
    allow_nets: Sequence[str] = (),
    allow_hosts: Sequence[str] = (),
) -> Credentials:
    """Create a caller with a key and a signing secret, returned this once.

    Raises Conflict when the name is taken or malformed, ValueError for a malformed network.
    """
    if not NAME.fullmatch(name):
        raise Conflict(f"{name!r}: use letters, digits and _ . - (at most 100)")
    if session.scalar(select(Caller.id).where(Caller.name == name)) is not None:
        raise Conflict(f"there is a caller named {name} already")
    CallbackPolicy.from_strings(allow_nets, allow_hosts)
    caller = Caller(
        name=name,
        created_at=now,
        allow_nets=json.dumps(list(allow_nets)),
        allow_hosts=json.dumps(list(allow_hosts)),
    )
    session.add(caller)
    session.flush()
    key = _new_key(session, caller, now)
    return Credentials(name, key, _new_signing_secret(session, caller, now))


def rotate_key(session: Session, name: str, now: datetime) -> Credentials:
    """Give the caller a new key; the old ones stop working with this transaction."""
    caller = find(session, name)
    _revoke_keys(session, caller, now)
    return Credentials(name, _new_key(session, caller, now), None)


def rotate_secret(session: Session, name: str, now: datetime) -> Credentials:
    """Give the caller a new signing secret; the old one signs along for 24 hours."""
    caller = find(session, name)
    session.execute(
        update(SigningSecret)
        .where(SigningSecret.caller_id == caller.id, SigningSecret.expires_at.is_(None))
        .values(expires_at=now + OVERLAP)
    )
    return Credentials(name, None, _new_signing_secret(session, caller, now))


def revoke(session: Session, name: str, now: datetime) -> int:
    """Revoke every key of the caller, at once; return how many there were."""
    return _revoke_keys(session, find(session, name), now)


def signing_secrets(
    session: Session, caller_ids: Sequence[int], now: datetime
) -> dict[int, list[str]]:
    """Return the secrets in force for each caller, the newest first."""
    rows = session.execute(
        select(SigningSecret.caller_id, SigningSecret.secret)
        .where(
            SigningSecret.caller_id.in_(caller_ids),
            or_(SigningSecret.expires_at.is_(None), SigningSecret.expires_at > now),
        )
        .order_by(SigningSecret.id.desc())
    )
    found: dict[int, list[str]] = {}
    for caller_id, secret in rows:
        found.setdefault(caller_id, []).append(secret)
    return found


def identities(session: Session, caller_ids: Sequence[int]) -> dict[int, Identity]:
    """Return the callers with these ids."""
    rows = session.execute(select(*_IDENTITY).where(Caller.id.in_(caller_ids)))
    return {row.id: _identity(*row) for row in rows}


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _new_key(session: Session, caller: Caller, now: datetime) -> SecretStr:
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    session.add(ApiKey(caller_id=caller.id, prefix=key[:12], key_hash=_hash(key), created_at=now))
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
