"""Who may see the dashboard: a person, or an operator's key, with a session that is in force.

Every request looks the session up (`kernel.callers.people.sessions`), so it ends at once with the
key, the person or its row. Cookie and token carry nothing that opens the API.
"""

import hashlib
import hmac
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Response, request
from sqlalchemy.orm import Session

from kernel.callers.identity import Identity, Scope, identify, require_from
from kernel.callers.people.roles import Role
from kernel.callers.people.sessions import (
    KnownSession,
    Lifetimes,
    end_cookie,
    forget_old,
    is_stale,
    known_session,
    open_session,
    touch,
)
from kernel.db.errors import DATABASE_ERRORS
from kernel.db.tables.callers import ApiKey
from kernel.errors import Forbidden, Unauthenticated
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import ServiceKeys
from kernel.views.http.acting import by_page
from kernel.views.http.client_address import client_address, proven_address
from kernel.views.http.credentials import anonymous, is_direct, stands_where_it_may

# The prefix makes browsers refuse the cookie unless it is Secure, for every path and this host
# alone: no other site below the same domain can set one. They take this very host for secure.
COOKIE = "__Host-kernel"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page. ``token`` belongs into every form that changes something."""

    name: str
    token: str
    role: Role
    # True: the dashboard shows everything and changes nothing, in any role.
    read_only: bool = False
    # None for the visitor of KERNEL_AUTH=off, who never signed in.
    session: KnownSession | None = None

    @property
    def signed_in(self) -> bool:
        """Whether there is a session that can be ended."""
        return self.session is not None

    @property
    def key_prefix(self) -> str | None:
        """The first characters of the key that was shown at the sign-in."""
        return None if self.session is None else self.session.key_prefix

    @property
    def may_change(self) -> bool:
        """Whether orders, callbacks and pauses can be acted on from here."""
        return self.may(Role.OPERATOR)

    @property
    def may_administer(self) -> bool:
        """Whether callers, keys, receivers and people can be changed from here."""
        return self.may(Role.ADMIN)

    def may(self, role: Role) -> bool:
        """Tell whether an act that needs ``role`` is open to this visitor."""
        return not self.read_only and self.role.includes(role)


class Sessions:
    """The sessions of one kernel's dashboard."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._keys = ServiceKeys(kernel)
        self._read_only = kernel.settings.dashboard != "on"
        self.lasts = lifetimes(kernel)

    def visitor(self) -> Visitor:
        """Return who asks. Raises Unauthenticated without a session that is still good."""
        cookie = request.cookies.get(COOKIE)
        if cookie is not None:
            return self._known(cookie)
        if self._kernel.settings.auth == "off" and is_direct(request):
            who = anonymous(self._kernel)
            return Visitor(who.name, self._token(who.name), Role.ADMIN, self._read_only)
        raise Unauthenticated

    def check_token(self, visitor: Visitor) -> None:
        """Raise Forbidden unless the form was made for this session."""
        given = request.form.get("token", "")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), visitor.token.encode()):
            raise Forbidden("the form is of another session", page="form_expired")

    def open(self, answer: Response, key: str) -> Identity:
        """Start a session for a person's key or an operator's: put its cookie into ``answer``.

        Raises Unauthenticated for a key that is not valid, Forbidden for a caller's own.
        """
        now = self._kernel.clock.now()
        try:
            with self._kernel.write_session() as session:
                who = identify(session, key, now)
                if who.networks is not None:
                    require_from(who.networks, proven_address(self._kernel.settings))
                if who.role is None:
                    raise Forbidden("this key is not an operator's", scope=Scope.OPERATOR)
                person_id = session.get_one(ApiKey, who.key_id).person_id
                self.begin(session, answer, now, person_id=person_id, key_id=who.key_id)
                name = who.person or who.name
                by = by_page(self._kernel.settings, name, who.key_prefix)
                by.record(session, "session.begin", f"session of {name}")
        except (Unauthenticated, Forbidden):
            self._kernel.refusals.note(key, client_address(self._kernel.settings), now)
            raise
        self._kernel.key_uses.note(who.key_id, now)
        return who

    def begin(
        self,
        session: Session,
        answer: Response,
        now: datetime,
        *,
        person_id: int | None,
        key_id: int | None,
    ) -> None:
        """Begin a session in a transaction, and put its cookie into ``answer``.

        The cookie is always a new one, and the session that the browser had ends: a cookie that
        another person has planted in it is worth nothing afterwards.
        """
        forget_old(session, now, self.lasts)
        if (before := request.cookies.get(COOKIE)) is not None:
            end_cookie(session, before)
        cookie = open_session(
            session,
            person_id=person_id,
            key_id=key_id,
            address=client_address(self._kernel.settings) or "",
            agent=request.user_agent.string,
            now=now,
        )
        # Lax, not Strict: a link to an order in a ticket or a chat should open it. A request of
        # another site that changes something is a POST, with which Lax sends no cookie either.
        answer.set_cookie(
            COOKIE,
            cookie.get_secret_value(),
            int(self.lasts.most.total_seconds()),
            httponly=True,
            secure=True,
            samesite="Lax",
        )

    def close(self, answer: Response, visitor: Visitor) -> None:
        """End the session, for every copy of its cookie, and forget it in this browser."""
        if (cookie := request.cookies.get(COOKIE)) is not None:
            by = by_page(self._kernel.settings, visitor.name, visitor.key_prefix)
            with self._kernel.write_session() as session:
                end_cookie(session, cookie)
                by.record(session, "session.end", f"session of {visitor.name}")
        answer.delete_cookie(COOKIE, httponly=True, secure=True, samesite="Lax")

    def _known(self, cookie: str) -> Visitor:
        now = self._kernel.clock.now()
        with self._kernel.read() as connection:
            known = known_session(connection, cookie, now, self.lasts)
        stands_where_it_may(self._kernel, known.networks)
        self._kernel.key_uses.note(known.key_id, now)
        # What an open page loads by itself is no use by a person.
        if is_stale(known, now, self.lasts) and "HX-Request" not in request.headers:
            # A database that takes no writes for the moment still shows its pages.
            with suppress(*DATABASE_ERRORS), self._kernel.write_one() as connection:
                touch(connection, known, now, self.lasts)
        return Visitor(known.name, self._token(cookie), known.role, self._read_only, known)

    def _token(self, session: str) -> str:
        key = self._keys.for_purpose("dashboard forms")
        return hmac.digest(key, session.encode("utf-8", "replace"), hashlib.sha256).hex()


def lifetimes(kernel: Kernel) -> Lifetimes:
    """Return how long sessions last, by the settings."""
    most = timedelta(hours=kernel.settings.session_hours)
    return Lifetimes(most, timedelta(minutes=kernel.settings.session_idle_minutes))
