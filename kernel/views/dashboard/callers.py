"""Callers, their API keys and signing secrets. A new secret is shown once, in the answer to the
form that made it: no redirect, nothing cached, nothing logged."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Response, request
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.exceptions import BadRequest

from kernel.callers import keys
from kernel.callers.identity import Scope
from kernel.callers.keys import Credentials, KeyTerms
from kernel.db.tables.callers import ApiKey, Caller, SigningSecret
from kernel.delivery.pauses import list_pauses
from kernel.errors import Conflict, NotFound
from kernel.views.dashboard.frame import Frame
from kernel.views.http.sessions import Visitor

# After how many days a new key ends; 0: never.
DAYS = (0, 30, 90, 365)
# Keys that do not work any more and are still shown, the newest.
PAST = 3


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without what could be used."""

    id: int
    prefix: str
    scopes: list[str]
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    # in_force, revoked or expired.
    state: str


@dataclass(frozen=True, slots=True)
class CallerDetails:
    """A caller, its keys (those in force first) and what its callbacks carry and may reach."""

    caller: Caller
    keys: list[Key]
    # Since when the signing secrets in force are; until when the older ones sign along.
    secrets: list[tuple[datetime, datetime | None]]
    paused: bool

    @property
    def rules(self) -> dict[str, list[str]]:
        """What an operator allowed, and the names of the headers; never their values."""
        caller = self.caller
        return {
            "rule_nets": json.loads(caller.allow_nets),
            "rule_hosts": json.loads(caller.allow_hosts),
            "rule_headers": sorted(json.loads(caller.headers)),
        }


def caller_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel = frame.kernel

    @frame.page("/callers")
    def callers(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            known = known_callers(session, kernel.clock.now())
            session.expunge_all()
        return frame.render("dashboard/callers.html", known=known, scopes=list(Scope), days=DAYS)

    def change(rule: str, name: str, make: Any) -> None:
        """Route a form to ``make``, which makes a secret that the answer shows."""

        def made(visitor: Visitor, **values: Any) -> Response:
            try:
                with kernel.write_session() as session:
                    found: Credentials = make(session, kernel.clock.now(), **values)
            except ValueError as error:
                raise Conflict(str(error)) from None
            return frame.render("dashboard/secret.html", made=found)

        made.__name__ = name
        frame.change(rule)(made)

    change("/callers", "add_caller", _add)
    change("/callers/<int:caller_id>/keys", "add_key", _add_key)
    change("/callers/<int:caller_id>/secret", "rotate_secret", _rotate_secret)
    change("/keys/<int:key_id>/rotate", "rotate_key", _rotate_key)

    @frame.change("/keys/<int:key_id>/revoke")
    def revoke_key(visitor: Visitor, key_id: int) -> Response:
        with kernel.write_session() as session:
            keys.revoke_key(session, key_id, kernel.clock.now())
        return frame.back("callers", "done_revoked")


def known_callers(session: Session, now: datetime) -> list[CallerDetails]:
    """Return every caller, by name. Takes four short queries."""
    paused = {one.caller_id for one in list_pauses(session)}
    keys: dict[int, list[Key]] = {}
    for one in session.scalars(select(ApiKey).order_by(ApiKey.id.desc())):
        keys.setdefault(one.caller_id, []).append(_key(one, now))
    secrets: dict[int, list[tuple[datetime, datetime | None]]] = {}
    for row in session.execute(_SECRETS):
        if row.expires_at is None or row.expires_at > now:
            secrets.setdefault(row.caller_id, []).append((row.created_at, row.expires_at))
    return [
        CallerDetails(one, _shown(keys.get(one.id, [])), secrets.get(one.id, []), one.id in paused)
        for one in session.scalars(select(Caller).order_by(Caller.name))
    ]


# Never the secrets themselves.
_SECRETS = select(
    SigningSecret.caller_id, SigningSecret.created_at, SigningSecret.expires_at
).order_by(SigningSecret.id.desc())


def _key(one: ApiKey, now: datetime) -> Key:
    state = "in_force"
    if one.revoked_at is not None:
        state = "revoked"
    elif one.expires_at is not None and one.expires_at <= now:
        state = "expired"
    scopes = one.scopes.split()
    return Key(one.id, one.prefix, scopes, one.created_at, one.used_at, one.expires_at, state)


def _shown(keys: list[Key]) -> list[Key]:
    in_force = [key for key in keys if key.state == "in_force"]
    return in_force + [key for key in keys if key.state != "in_force"][:PAST]


def _add(session: Session, now: datetime) -> Credentials:
    return keys.add(session, request.form.get("name", "").strip(), now, terms=_terms(now))


def _add_key(session: Session, now: datetime, caller_id: int) -> Credentials:
    return keys.add_key(session, _name(session, caller_id), now, _terms(now))


def _rotate_key(session: Session, now: datetime, key_id: int) -> Credentials:
    return keys.replace_key(session, key_id, now)


def _rotate_secret(session: Session, now: datetime, caller_id: int) -> Credentials:
    return keys.rotate_secret(session, _name(session, caller_id), now)


def _name(session: Session, caller_id: int) -> str:
    caller = session.get(Caller, caller_id)
    if caller is None:
        raise NotFound
    return caller.name


def _terms(now: datetime) -> KeyTerms:
    """Read what a new key may do, and until when."""
    scopes, days = frozenset(request.form.getlist("scope")), request.form.get("days", "0")
    if not scopes or not scopes <= frozenset(Scope) or days not in map(str, DAYS):
        raise BadRequest
    return KeyTerms(scopes, now + timedelta(days=int(days)) if int(days) else None)
