"""Callers, their keys and their signing secrets.

A key is 256 random bits, shown once and stored as its SHA-256. It cannot be guessed, so a slow
hash would protect nothing and cost time in each request; looking it up by hash leaks nothing by
timing. Signing secrets must be read back to sign, so they are stored as they are and never printed
again.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, exists, or_, select
from sqlalchemy.orm import Session

from kernel.callers.profile import CLOSED, granted
from kernel.db.tables.callers import ANONYMOUS, ApiKey, Caller
from kernel.errors import ConfigurationError, Forbidden, NotFound, Unauthenticated
from kernel.transport.addresses import CallbackPolicy

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


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


def identify(asking: Session | Connection, key: str, now: datetime) -> Identity:
    """Return whose key this is. Raises Unauthenticated for an unknown, expired or revoked one."""
    found = asking.execute(_IDENTIFY, {"hash": key_hash(key), "now": now}).one_or_none()
    if found is None:
        raise Unauthenticated
    return _identity(*found)


def identify_key(asking: Session | Connection, key_id: int, now: datetime) -> Identity:
    """Return whose key has this id; for a session whose visitor has shown the key before.

    Raises Unauthenticated for a key that is deleted, expired or revoked.
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
# Executed for every request, so it is built once, without the ORM.
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


def key_hash(key: str) -> str:
    """Return what is stored, and compared, instead of the key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
