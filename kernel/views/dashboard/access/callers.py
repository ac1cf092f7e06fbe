"""Callers, their API keys and signing secrets. A new secret is shown once, in the answer to the
form that made it: no redirect, nothing cached, nothing logged."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flask import Response, request
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from kernel.callers import keys
from kernel.callers.audit.acts import By
from kernel.callers.identity import CALLERS_OWN, Scope
from kernel.callers.key_terms import SOON, KeyTerms, limits, terms_of
from kernel.callers.keys import Credentials
from kernel.callers.people.roles import Role
from kernel.config.settings import Settings
from kernel.db.tables.callers import ApiKey, Caller, SigningSecret
from kernel.errors import Conflict, NotFound
from kernel.insight.trends.parts import COUNTED, Row, rows_of
from kernel.insight.trends.series import Span, Trends
from kernel.insight.trends.tallies import Kind
from kernel.pauses.listing import list_pauses
from kernel.runtime.kernel import Kernel
from kernel.runtime.single_flight import SingleFlightCache
from kernel.views.dashboard.frame import LIVE_SECONDS, LIVE_SHARE, FormRefused, Frame
from kernel.views.dashboard.lists.query import row_id
from kernel.views.http.sessions import Visitor

# After how many days a new key ends, besides KERNEL_KEY_DAYS; 0: never.
DAYS = (30, 90, 365, 0)
# For how many hours the old key works beside the new one.
OVERLAPS = (0, 1, 24, 168)
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
    # in_force, ending (it has less than two weeks), revoked or expired.
    state: str
    tags: list[str]
    networks: list[str]

    @property
    def works(self) -> bool:
        """Whether the key is in force."""
        return self.state in ("in_force", "ending")


@dataclass(frozen=True, slots=True)
class CallerDetails:
    """A caller, its keys (those in force first) and what its callbacks carry and may reach."""

    caller: Caller
    keys: list[Key]
    # Since when the signing secrets in force are; until when the older ones sign along.
    secrets: list[tuple[datetime, datetime | None]]
    paused: bool
    # Whether none of its orders begins.
    orders_paused: bool

    @property
    def rules(self) -> dict[str, list[str]]:
        """What an operator allowed."""
        caller = self.caller
        return {
            "rule_nets": json.loads(caller.allow_nets),
            "rule_hosts": json.loads(caller.allow_hosts),
        }


class AtWork:
    """What each caller has pending and did in the last hour, kept for a moment."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._trends = Trends(kernel)
        self._rows = SingleFlightCache[list[Row]](LIVE_SECONDS, share=LIVE_SHARE)

    def by_name(self) -> dict[str, Row]:
        """Return it by the caller's name. Raises the database's errors."""
        asked = partial(rows_of, self._kernel, self._trends, Span.HOUR, Kind.CALLER)
        return {one.part.name: one for one in self._rows.get(asked)}


def caller_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel, at_work = frame.kernel, AtWork(frame.kernel)

    @frame.page("/callers")
    def callers(visitor: Visitor) -> Response:
        with kernel.read_session() as session:
            known = known_callers(session, kernel.clock.now())
            session.expunge_all()
        return frame.render(
            "dashboard/callers.html",
            known=known,
            work=at_work.by_name(),
            counted=COUNTED,
            scopes=list(Scope),
            own=CALLERS_OWN,
            days=_days(kernel.settings),
            overlaps=OVERLAPS,
        )

    def change(rule: str, name: str, make: Any) -> None:
        """Route a form to ``make``, which makes a secret that the answer shows.

        It is given the session, the time, the settings, and who asks.
        """

        def made(visitor: Visitor, **values: Any) -> Response:
            by = frame.by(visitor)
            try:
                with kernel.write_session() as session:
                    given = (session, kernel.clock.now(), kernel.settings, by)
                    found: Credentials = make(*given, **values)
            except ValueError as error:
                raise Conflict(str(error)) from None
            return frame.render("dashboard/secret.html", made=found)

        made.__name__ = name
        frame.change(rule, Role.ADMIN)(made)

    change("/callers", "add_caller", _add)
    change("/callers/<caller_id>/keys", "add_key", _add_key)
    change("/callers/<caller_id>/secret", "rotate_secret", _rotate_secret)
    change("/keys/<key_id>/rotate", "rotate_key", _rotate_key)

    @frame.change("/keys/<key_id>/revoke", Role.ADMIN)
    def revoke_key(visitor: Visitor, key_id: str) -> Response:
        by = frame.by(visitor)
        with kernel.write_session() as session:
            keys.revoke_key(session, row_id(key_id), kernel.clock.now(), by)
        return frame.back("callers", "done_revoked")


def known_callers(session: Session, now: datetime) -> list[CallerDetails]:
    """Return every caller, by name. Takes four short queries."""
    pauses = list_pauses(session)
    paused = {one.caller_id for one in pauses}
    stopped = {one.orders_of for one in pauses}
    keys: dict[int, list[Key]] = {}
    for one in session.scalars(
        select(ApiKey).where(ApiKey.person_id.is_(None)).order_by(ApiKey.id.desc())
    ):
        keys.setdefault(one.caller_id, []).append(_key(one, now))
    secrets: dict[int, list[tuple[datetime, datetime | None]]] = {}
    for row in session.execute(_SECRETS):
        if row.expires_at is None or row.expires_at > now:
            secrets.setdefault(row.caller_id, []).append((row.created_at, row.expires_at))
    return [
        CallerDetails(
            one,
            _shown(keys.get(one.id, [])),
            secrets.get(one.id, []),
            one.id in paused,
            one.id in stopped,
        )
        for one in session.scalars(
            select(Caller).options(joinedload(Caller.share)).order_by(Caller.name)
        )
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
    elif one.expires_at is not None and one.expires_at <= now + SOON:
        state = "ending"
    when = (one.created_at, one.used_at, one.expires_at)
    limits = ((one.tags or "").split(), (one.networks or "").split())
    return Key(one.id, one.prefix, one.scopes.split(), *when, state, *limits)


def _shown(keys: list[Key]) -> list[Key]:
    return [key for key in keys if key.works] + [key for key in keys if not key.works][:PAST]


def _add(session: Session, now: datetime, settings: Settings, by: By) -> Credentials:
    name = request.form.get("name", "").strip()
    return keys.add(session, name, now, terms=_terms(now, settings), by=by)


def _add_key(
    session: Session, now: datetime, settings: Settings, by: By, caller_id: str
) -> Credentials:
    return keys.add_key(session, _name(session, caller_id), now, _terms(now, settings), by)


def _rotate_key(
    session: Session, now: datetime, settings: Settings, by: By, key_id: str
) -> Credentials:
    hours = request.form.get("overlap", "0")
    if hours not in map(str, OVERLAPS):
        raise FormRefused.by_field({"overlap": f"one of {', '.join(map(str, OVERLAPS))} hours"})
    old = keys.working_key(session, row_id(key_id), now)
    terms = terms_of(session, old, now, settings.key_days)
    return keys.replace_key(session, old, now, terms, timedelta(hours=int(hours)), by)


def _rotate_secret(
    session: Session, now: datetime, _: Settings, by: By, caller_id: str
) -> Credentials:
    return keys.rotate_secret(session, _name(session, caller_id), now, by=by)


def _name(session: Session, caller_id: str) -> str:
    caller = session.get(Caller, row_id(caller_id))
    if caller is None:
        raise NotFound
    return caller.name


def _days(settings: Settings) -> list[str]:
    """Return the choices of a form, the setting's first."""
    return list(dict.fromkeys(f"{days:g}" for days in (settings.key_days, *DAYS)))


def _terms(now: datetime, settings: Settings) -> KeyTerms:
    """Read what a new key may do, from where, and until when. Raises ValueError for no network."""
    choices, scopes = _days(settings), frozenset(request.form.getlist("scope"))
    days = request.form.get("days", choices[0])
    if not scopes or not scopes <= frozenset(Scope):
        raise FormRefused.by_field({"scope": f"one at least of {', '.join(Scope)}"})
    if days not in choices:
        raise FormRefused.by_field({"days": f"one of {', '.join(choices)}; 0: without an end"})
    tags, networks = (limits(_words(name)) for name in ("tags", "networks"))
    ends = now + timedelta(days=float(days)) if float(days) else None
    return KeyTerms(scopes, ends, None if tags is None else frozenset(tags), networks)


def _words(name: str) -> list[str]:
    return request.form.get(name, "").replace(",", " ").split()
