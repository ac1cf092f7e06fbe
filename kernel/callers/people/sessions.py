"""Sessions on the dashboard: a row each, from the sign-in until they end.

The cookie is 256 random bits and means nothing by itself: its row says whose it is, and ends with
the sign-out, with an operator's word, with the key or the person behind it, when it is too old and
when it was idle for too long. A cookie of another installation has no row here.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from kernel.callers.audit.acts import BY_SYSTEM, By
from kernel.callers.identity import Network, Scope, key_in_force, networks_of
from kernel.callers.people.roles import Role
from kernel.db.tables.callers import ApiKey, Caller
from kernel.db.tables.people import PEOPLE, SESSIONS
from kernel.db.transactions import rowcount
from kernel.errors import NotFound, Unauthenticated

# A session's last use is written at most so often; four times in the longest idle time at least.
TOUCH = timedelta(minutes=1)
ADDRESS, AGENT = 64, 255


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions last: from the sign-in, and from the last request on."""

    most: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(hours=1)

    def since(self, now: datetime) -> dict[str, datetime]:
        """Return after which moments a session has to have begun, and was seen."""
        return {"born": now - self.most, "seen": now - self.idle}

    def stale(self, now: datetime) -> datetime:
        """Return until which moment a use has to have been noted for another to be worth it.

        A use that is not noted does not count, so that is well before the session would be over.
        """
        return now - min(TOUCH, self.idle / 4)


@dataclass(frozen=True, slots=True)
class KnownSession:
    """A session in force: who it is, and what they may do."""

    id: int
    # The person's name, or the caller's whose operator key was shown.
    name: str
    role: Role
    person_id: int | None
    key_id: int | None
    # The first characters of the key; None for a sign-in without one.
    key_prefix: str | None
    seen_at: datetime
    # From where its key works; None for everywhere.
    networks: tuple[Network, ...] | None = None


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session for a list of them; it holds nothing that opens the dashboard."""

    id: int
    name: str
    role: str
    key_prefix: str | None
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime


def open_session(
    session: Session,
    *,
    person_id: int | None,
    key_id: int | None,
    address: str,
    agent: str,
    now: datetime,
) -> SecretStr:
    """Begin a session of a person, of a key, or of a person's key; return the cookie's value."""
    if person_id is None and key_id is None:
        raise ValueError("a session belongs to a person or to a key")
    cookie = secrets.token_urlsafe(32)
    row = {"person_id": person_id, "key_id": key_id, "created_at": now, "seen_at": now}
    shown = {"address": address[:ADDRESS], "agent": agent[:AGENT]}
    session.execute(insert(SESSIONS).values(token_hash=cookie_hash(cookie), **row, **shown))
    return SecretStr(cookie)


def known_session(asking: Any, cookie: str, now: datetime, lasts: Lifetimes) -> KnownSession:
    """Return whose session a cookie is, by one statement. Raises Unauthenticated for one that has
    ended, and when its key or its person is not in force.

    ``asking`` is a Session or a Connection.
    """
    given = {"hash": cookie_hash(cookie), "now": now, **lasts.since(now)}
    row = asking.execute(_KNOWN, given).one_or_none()
    if row is None:
        raise Unauthenticated
    if row.person is None and Scope.OPERATOR not in row.scopes.split():
        raise Unauthenticated
    role = Role.ADMIN if row.person is None else Role(row.role)
    who = (row.person or row.caller, role, row.person_id, row.key_id, row.prefix)
    return KnownSession(row.id, *who, row.seen_at, networks_of(row.networks))


def touch(asking: Any, known: KnownSession, now: datetime, lasts: Lifetimes) -> None:
    """Note that a session was used; `is_stale` says when that is worth a write."""
    given = {"session": known.id, "now": now, "before": lasts.stale(now)}
    asking.execute(_TOUCH, given)


def is_stale(known: KnownSession, now: datetime, lasts: Lifetimes) -> bool:
    """Tell whether the session was noted as used a minute ago or longer; see `Lifetimes.stale`."""
    return known.seen_at <= lasts.stale(now)


def end_session(session: Session, session_id: int, by: By = BY_SYSTEM) -> None:
    """End one session at once. Raises NotFound when it is over."""
    found = session.execute(_OWNER, {"session": session_id}).one_or_none()
    gone = delete(SESSIONS).where(SESSIONS.c.id == session_id)
    if found is None or not rowcount(session.execute(gone)):
        raise NotFound(f"there is no session {session_id}")
    name = found.person or found.caller
    by.record(session, "session.end", f"session of {name}", before={"session": session_id})


def end_cookie(session: Session, cookie: str) -> None:
    """End the session of a cookie, if there is one."""
    session.execute(delete(SESSIONS).where(SESSIONS.c.token_hash == cookie_hash(cookie)))


def end_sessions(session: Session, *, person_id: int) -> int:
    """End all sessions of a person; return how many there were."""
    return rowcount(session.execute(delete(SESSIONS).where(SESSIONS.c.person_id == person_id)))


def forget_old(session: Session, now: datetime, lasts: Lifetimes) -> None:
    """Delete the rows of sessions that are too old or were idle for too long."""
    since = lasts.since(now)
    over = or_(SESSIONS.c.created_at <= since["born"], SESSIONS.c.seen_at <= since["seen"])
    session.execute(delete(SESSIONS).where(over))


def list_sessions(session: Session, now: datetime, lasts: Lifetimes) -> list[ListedSession]:
    """Return the sessions in force, the one used last first."""
    rows = session.execute(_LISTED, {"now": now, **lasts.since(now)})
    return [
        ListedSession(
            *(row.id, row.person or row.caller, row.role or Role.ADMIN, row.prefix),
            *(row.address, row.agent, row.created_at, row.seen_at),
        )
        for row in rows
    ]


def cookie_hash(cookie: str) -> str:
    """Return what is stored, and compared, instead of the cookie."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()


_KEYS: Any = ApiKey.__table__
_CALLERS: Any = Caller.__table__
# Sessions whose time is not over, with the key and the person behind them in force.
_IN_FORCE = (
    select(
        *(SESSIONS.c.id, SESSIONS.c.person_id, SESSIONS.c.key_id, SESSIONS.c.seen_at),
        *(PEOPLE.c.name.label("person"), PEOPLE.c.role, _CALLERS.c.name.label("caller")),
        *(_KEYS.c.scopes, _KEYS.c.prefix, _KEYS.c.networks),
    )
    .select_from(SESSIONS)
    .outerjoin(PEOPLE, PEOPLE.c.id == SESSIONS.c.person_id)
    .outerjoin(_KEYS, _KEYS.c.id == SESSIONS.c.key_id)
    .outerjoin(_CALLERS, _CALLERS.c.id == _KEYS.c.caller_id)
    .where(
        SESSIONS.c.created_at > bindparam("born"),
        SESSIONS.c.seen_at > bindparam("seen"),
        or_(
            SESSIONS.c.person_id.is_(None),
            and_(PEOPLE.c.id.is_not(None), PEOPLE.c.disabled_at.is_(None)),
        ),
        or_(
            SESSIONS.c.key_id.is_(None),
            and_(_KEYS.c.id.is_not(None), *key_in_force(bindparam("now"))),
        ),
    )
)
_KNOWN = _IN_FORCE.where(SESSIONS.c.token_hash == bindparam("hash"))
_LISTED = _IN_FORCE.add_columns(
    SESSIONS.c.address, SESSIONS.c.agent, SESSIONS.c.created_at
).order_by(SESSIONS.c.seen_at.desc(), SESSIONS.c.id.desc())
_OWNER = (
    select(PEOPLE.c.name.label("person"), _CALLERS.c.name.label("caller"))
    .select_from(SESSIONS)
    .outerjoin(PEOPLE, PEOPLE.c.id == SESSIONS.c.person_id)
    .outerjoin(_KEYS, _KEYS.c.id == SESSIONS.c.key_id)
    .outerjoin(_CALLERS, _CALLERS.c.id == _KEYS.c.caller_id)
    .where(SESSIONS.c.id == bindparam("session"))
)
_TOUCH = (
    update(SESSIONS)
    .where(SESSIONS.c.id == bindparam("session"), SESSIONS.c.seen_at <= bindparam("before"))
    .values(seen_at=bindparam("now"))
)
