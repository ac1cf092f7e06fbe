"""Who may see the dashboard: an operator with a session, checked with every request.

The session is a signed cookie that names the operator's key by its id, so a key that is revoked
or has expired ends it with the next request. Cookie and token carry nothing that opens the API.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta

from flask import Response, request
from itsdangerous import BadData, URLSafeSerializer

from kernel.callers.identity import Identity, Scope, identify, identify_key
from kernel.errors import Forbidden, Unauthenticated
from kernel.runtime.kernel import Kernel
from kernel.runtime.service_key import ServiceKeys
from kernel.views.http.credentials import anonymous, is_direct

LIFETIME = timedelta(hours=12)
# The prefix makes browsers refuse the cookie unless it is Secure, for every path and this host
# alone: no other site below the same domain can set one. They take this very host for secure.
COOKIE = "__Host-kernel"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page. ``token`` belongs into every form that changes something."""

    name: str
    token: str
    may_change: bool
    # False for the visitor of KERNEL_AUTH=off, who never signed in.
    signed_in: bool = True


class Sessions:
    """The sessions of one kernel's dashboard."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._keys = ServiceKeys(kernel)
        self.may_change = kernel.settings.dashboard == "on"

    def visitor(self) -> Visitor:
        """Return who asks. Raises Unauthenticated without a session that is still good."""
        cookie = request.cookies.get(COOKIE)
        if cookie is not None:
            return self._known(cookie)
        if self._kernel.settings.auth == "off" and is_direct(request):
            who = anonymous(self._kernel)
            return Visitor(who.name, self._token(who.name), self.may_change, signed_in=False)
        raise Unauthenticated

    def check_token(self, visitor: Visitor) -> None:
        """Raise Forbidden unless the form was made for this session."""
        given = request.form.get("token", "")
        if not hmac.compare_digest(given.encode("utf-8", "replace"), visitor.token.encode()):
            raise Forbidden("the form is of another session", page="form_expired")

    def open(self, answer: Response, key: str) -> Identity:
        """Start a session for an operator's key: put its cookie into ``answer``.

        Raises Unauthenticated for a key that is not valid, Forbidden for one that is no operator's.
        """
        with self._kernel.read() as connection:
            who = identify(connection, key, self._kernel.clock.now())
        if Scope.OPERATOR not in who.scopes:
            raise Forbidden("this key is not an operator's", scope=Scope.OPERATOR)
        began = int(self._kernel.clock.now().timestamp())
        sealed = self._seal().dumps([who.key_id, began, secrets.token_urlsafe(12)])
        # Lax, not Strict: a link to an order in a ticket or a chat should open it. A request of
        # another site that changes something is a POST, with which Lax sends no cookie either.
        answer.set_cookie(
            COOKIE,
            str(sealed),
            int(LIFETIME.total_seconds()),
            httponly=True,
            secure=True,
            samesite="Lax",
        )
        return who

    def close(self, answer: Response) -> None:
        """End the session in this browser."""
        answer.delete_cookie(COOKIE, httponly=True, secure=True, samesite="Lax")

    def _known(self, cookie: str) -> Visitor:
        try:
            key_id, began, _ = self._seal().loads(cookie)
        except (BadData, ValueError, TypeError):
            raise Unauthenticated from None
        now = self._kernel.clock.now()
        if now.timestamp() > began + LIFETIME.total_seconds():
            raise Unauthenticated
        with self._kernel.read() as connection:
            who = identify_key(connection, key_id, now)
        self._kernel.key_uses.note(who.key_id, now)
        if Scope.OPERATOR not in who.scopes:
            raise Unauthenticated
        return Visitor(who.name, self._token(cookie), self.may_change)

    def _seal(self) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._keys.for_purpose("dashboard sessions"),
            salt="session",
            signer_kwargs={"digest_method": hashlib.sha256},
        )

    def _token(self, session: str) -> str:
        key = self._keys.for_purpose("dashboard forms")
        return hmac.digest(key, session.encode("utf-8", "replace"), hashlib.sha256).hex()
