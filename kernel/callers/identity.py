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
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, or_, select
from sqlalchemy.orm import Session

from kernel.callers.callback_rules import CLOSED, granted
from kernel.callers.people.roles import Role
from kernel.config.near import did_you_mean
from kernel.db.clock import database_time
from kernel.db.statements.prepared import Prepared
from kernel.db.tables.callers import ANONYMOUS, ApiKey, Caller
from kernel.db.tables.people import PEOPLE
from kernel.errors import ConfigurationError, Forbidden, KeyExpired, NotFound, Unauthenticated
from kernel.transport.addresses import CallbackPolicy

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Scope(StrEnum):
    """What a key may do. ``operator`` sees and does everything, for every caller."""

    WRITE = "orders:write"
    READ = "orders:read"
    METRICS = "metrics"
    OPERATOR = "operator"


CALLERS_OWN = frozenset({Scope.WRITE, Scope.READ})
# Without a key, from this host alone (KERNEL_AUTH=off).
WITHOUT_KEY = CALLERS_OWN | {Scope.METRICS}
# What a person's key may do by API, by the person's role.
SCOPES: dict[Role, frozenset[str]] = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.OPERATOR: CALLERS_OWN,
    Role.ADMIN: frozenset(Scope),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking: a caller, what its key may do, and what its callbacks may reach."""

    caller_id: int
    name: str
    scopes: frozenset[str] = CALLERS_OWN
    grants: CallbackPolicy = CLOSED
    # Which of the caller's keys; None without one.
    key_id: int | None = None
    # Its callbacks go to its receivers alone.
    is_listed: bool = False
    # The tags of orders that the key may submit and see; None for all.
    tags: frozenset[str] | None = None
    # From where the key works; None for everywhere.
    networks: tuple[Network, ...] | None = None
    # Whose key it is, by name; None for a caller's own.
    person: str | None = None
    # What the person may do; that of an operator's key is admin. None for a caller's own key.
    role: Role | None = None
    # The first characters of the key.
    key_prefix: str | None = None

    @property
    def sees(self) -> int | None:
        """Whose orders and deliveries these credentials see: a caller's, or None for all."""
        return self.caller_id if self.role is None else None

    def require(self, needed: Scope | Role) -> None:
        """Raise Forbidden unless the key has the scope, or the role, that is ``needed``.

        A caller's own key has no role, unless it is an operator's. A person's key has the scopes
        of the role: it reads, and from operator on it writes.
        """
        if isinstance(needed, Role):
            if self.role is None:
                raise Forbidden("this key does not have the scope operator", scope="operator")
            if not self.role.includes(needed):
                words = f"the role of {self.person} is {self.role}, and this needs {needed}"
                raise Forbidden(words, scope=needed)
        elif not self.scopes & {needed, Scope.OPERATOR}:
            raise Forbidden(f"this key does not have the scope {needed}", scope=needed)

    def require_submitting(self) -> None:
        """Raise Forbidden unless orders may be submitted: a person has none of their own."""
        self.require(Scope.WRITE)
        if self.person is not None:
            raise Forbidden("a person submits no orders: use a caller's key", scope=Scope.WRITE)

    def may_order(self, tag: object) -> bool:
        """Tell whether the key may submit and see orders of ``tag``."""
        return self.tags is None or tag in self.tags


def require_from(networks: tuple[Network, ...], address: Address | None) -> None:
    """Raise Unauthenticated unless ``address``, None for unknown, is in one of ``networks``."""
    if address is None:
        raise Unauthenticated(
            "this key works from some networks alone, and where you are is not known: the "
            "request came through a proxy that KERNEL_TRUSTED_PROXIES does not name"
        )
    if not any(address in one for one in networks):
        raise Unauthenticated(f"this key does not work from {address}")


def identify(asking: Session | Connection, key: str, now: datetime) -> Identity:
    """Return whose key this is. Raises Unauthenticated, KeyExpired for an expired or revoked one.

    One look-up by the key's hash finds each of them: what an answer tells of a key that was right
    once, only its holder hears, and every answer takes the same time.
    """
    return _in_force(asking, _IDENTIFY, {"hash": key_hash(key)}, now)


def identify_key(asking: Session | Connection, key_id: int, now: datetime) -> Identity:
    """Return whose key has this id; for a session whose visitor has shown the key before.

    Raises Unauthenticated for a key that is deleted, KeyExpired for an expired or revoked one.
    """
    return _in_force(asking, _IDENTIFY_KEY, {"key_id": key_id}, now)


def _in_force(
    asking: Session | Connection, query: Prepared, values: dict[str, Any], now: datetime
) -> Identity:
    connection = asking if isinstance(asking, Connection) else asking.connection()
    for expires_at, revoked_at, *found in query.rows(connection, values):
        if revoked_at is not None or (expires_at is not None and expires_at <= now):
            raise KeyExpired
        return _identity(*found)
    raise Unauthenticated


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
    rules = (caller.allow_nets, caller.allow_hosts, caller.is_listed)
    return _identity(caller.id, caller.name, *rules)


_CALLERS: Any = Caller.__table__
_KEYS: Any = ApiKey.__table__


def key_in_force(now: Any) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which a key of kernel_api_keys works ``now``."""
    lasts = or_(_KEYS.c.expires_at.is_(None), _KEYS.c.expires_at > now)
    return _KEYS.c.revoked_at.is_(None), lasts


# Executed for every request, so it is prepared, without the ORM.
_OF_KEY = (
    select(
        *(_KEYS.c.expires_at, _KEYS.c.revoked_at),
        *(_CALLERS.c.id, _CALLERS.c.name, _CALLERS.c.allow_nets, _CALLERS.c.allow_hosts),
        _CALLERS.c.is_listed,
        *(_KEYS.c.scopes, _KEYS.c.id.label("key_id"), _KEYS.c.tags, _KEYS.c.networks),
        *(_KEYS.c.prefix, PEOPLE.c.name.label("person"), PEOPLE.c.role),
    )
    .select_from(_CALLERS)
    .join(_KEYS, _KEYS.c.caller_id == _CALLERS.c.id)
    .outerjoin(PEOPLE, PEOPLE.c.id == _KEYS.c.person_id)
    .where(
        or_(
            _KEYS.c.person_id.is_(None),
            and_(PEOPLE.c.id.is_not(None), PEOPLE.c.disabled_at.is_(None)),
        ),
    )
)
_IDENTIFY = Prepared(_OF_KEY.where(_KEYS.c.key_hash == bindparam("hash")))
_IDENTIFY_KEY = Prepared(_OF_KEY.where(_KEYS.c.id == bindparam("key_id")))
# The key of ``key_id`` is in force ``now``: for a statement that does its work only then. Bound is
# the offset of a `database_time`.
KEY_HOLDS = exists().where(_KEYS.c.id == bindparam("key_id"), *key_in_force(database_time("now")))


def _identity(
    caller_id: int,
    name: str,
    nets: str,
    hosts: str,
    is_listed: bool,
    *key: Any,
) -> Identity:
    if not key:
        return Identity(caller_id, name, WITHOUT_KEY, granted(nets, hosts), is_listed=is_listed)
    words, key_id, tags, networks, prefix, person, known_role = key
    scopes = frozenset(words.split())
    role = Role.ADMIN if Scope.OPERATOR in scopes else None
    if person is not None:
        role = Role(known_role)
        scopes = SCOPES[role]
    return Identity(
        caller_id,
        name,
        scopes,
        granted(nets, hosts),
        key_id,
        is_listed,
        None if tags is None else frozenset(tags.split()),
        networks_of(networks),
        person,
        role,
        prefix,
    )


def networks_of(stored: str | None) -> tuple[Network, ...] | None:
    """Read the networks that a key works from; None for everywhere."""
    return None if stored is None else tuple(map(ip_network, stored.split()))


def find(session: Session, name: str) -> Caller:
    """Return the caller of that name. Raises NotFound."""
    known = NAME.fullmatch(name)  # the column holds nothing else, and compares nothing else
    caller = session.scalar(select(Caller).where(Caller.name == name)) if known else None
    if caller is None:
        others = session.scalars(select(Caller.name).order_by(Caller.id).limit(1000))
        raise NotFound(f"there is no caller named {name}{did_you_mean(name, others)}")
    return caller


def key_hash(key: str) -> str:
    """Return what is stored, and compared, instead of the key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
