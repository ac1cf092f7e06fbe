"""Sign-in by the provider of KERNEL_OIDC_ISSUER: away to it, and back with a code.

What belongs to one attempt travels in a cookie of ten minutes, sealed with a key of this
installation: no other browser can end the attempt, and nothing is stored for visitors who never
come back. The cookie is Lax, for the provider sends the browser back from another site; by GET,
since with a POST from there no such cookie comes along.
"""

import base64
import hmac
import logging
from http import HTTPStatus

from cryptography.fernet import Fernet, InvalidToken
from flask import Response, request, url_for
from sqlalchemy.exc import IntegrityError

from kernel.callers.audit.actor import Actor
from kernel.callers.audit.acts import By
from kernel.callers.people.oidc import Attempt, SignInRefused
from kernel.callers.people.people import person_of
from kernel.callers.people.signed_in import SignedIn
from kernel.errors import Forbidden, TooManyRequests
from kernel.runtime.oidc_provider import OidcProvider
from kernel.runtime.service_key import ServiceKeys
from kernel.views.dashboard.frame import Frame
from kernel.views.dashboard.signing_in.sign_in import SignIn
from kernel.views.html.rendering import go_to, safe_next
from kernel.views.http.acting import by_page
from kernel.views.http.client_address import client_address
from kernel.views.http.errors import RETRY_SECONDS
from kernel.views.http.gate import gate
from kernel.views.http.origin import keeps_secrets

log = logging.getLogger(__name__)

COOKIE = "__Host-kernel-oidc"
# Seconds that a person may take at the provider.
ATTEMPT_SECONDS = 600
PURPOSE = "sign-in by OpenID Connect"
# The HTTP status of each page that says why a sign-in was refused.
STATUS = {
    "oidc_away": 503,
    "oidc_untrusted": 502,
    "oidc_expired": 400,
    "oidc_denied": 403,
    "oidc_no_role": 403,
    "oidc_disabled": 403,
}
# Refusals of people whom the provider knows.
KNOWN_AND_REFUSED = ("oidc_no_role", "oidc_disabled")
# A browser drops a cookie of more than 4,096 bytes: the sealed attempt, with the way back in it.
LONGEST_BACK = 2000


class OidcPages:
    """The way to the provider, and back."""

    def __init__(self, frame: Frame, sign_in: SignIn) -> None:
        self._frame = frame
        self._sign_in = sign_in
        self._keys = ServiceKeys(frame.kernel)

    def start_oidc(self) -> Response:
        """GET: send the browser to the provider; ``next`` is the page to go on to afterwards."""
        back = safe_next(request.args.get("next"), url_for(".overview"))
        if not keeps_secrets():
            return self._sign_in.form(403)
        attempt = Attempt.begin(back if len(back) <= LONGEST_BACK else url_for(".overview"))
        try:
            address = self._provider().start(attempt, self._redirect_uri())
        except SignInRefused as refused:
            return self._refused(refused, back)
        answer = go_to(address)
        answer.set_cookie(
            COOKIE,
            self._seal(attempt),
            ATTEMPT_SECONDS,
            httponly=True,
            secure=True,
            samesite="Lax",
        )
        return answer

    def finish_oidc(self) -> Response:
        """GET: the browser is back, with a code or with the provider's refusal."""
        back = url_for(".overview")
        try:
            attempt = self._attempt()
            back = safe_next(attempt.back, back)
            signed_in = self._signed_in(attempt)
            answer = go_to(back)
            self._open(answer, signed_in)
        except SignInRefused as refused:
            answer = self._refused(refused, back)
        # The attempt is over, however it ended: its code is good for nothing any more.
        answer.delete_cookie(COOKIE, httponly=True, secure=True, samesite="Lax")
        return answer

    def _attempt(self) -> Attempt:
        """Return the attempt that this browser began. Raises SignInRefused.

        A page of another site can send the browser here with a code of its own: it does not know
        the state.
        """
        now = int(self._frame.kernel.clock.now().timestamp())
        try:
            sealed = request.cookies.get(COOKIE, "").encode("ascii")
            attempt = Attempt.load(self._fernet().decrypt_at_time(sealed, ATTEMPT_SECONDS, now))
        except (InvalidToken, UnicodeError):
            why = "no attempt of this browser, or one older than ten minutes"
            raise SignInRefused("oidc_expired", why) from None
        given = request.args.get("state", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, attempt.state.encode()):
            raise SignInRefused("oidc_expired", "the state is another attempt's")
        return attempt

    def _signed_in(self, attempt: Attempt) -> SignedIn:
        provider = self._provider()
        # RFC 9207: a provider that names itself in its answer must be the one that was asked.
        if request.args.get("iss", provider.rules.issuer) != provider.rules.issuer:
            raise SignInRefused("oidc_untrusted", "the answer names another issuer")
        code = request.args.get("code", "")
        if not code:
            error = request.args.get("error", "neither code nor error")
            raise SignInRefused("oidc_denied", f"the provider sent back {error!r:.100}")
        now = self._frame.kernel.clock.now().timestamp()
        return provider.finish(code, attempt, self._redirect_uri(), now)

    def _open(self, answer: Response, signed_in: SignedIn) -> None:
        """Begin a session of this person, who is added or brought up to date."""
        try:
            try:
                self._begin(answer, signed_in)
            except IntegrityError:  # two windows added the person at once: now there is one
                self._begin(answer, signed_in)
        except Forbidden as error:
            raise SignInRefused("oidc_disabled", error.message) from None
        log.info("person signed in", extra={"person": signed_in.name, "role": signed_in.role})

    def _begin(self, answer: Response, signed_in: SignedIn) -> None:
        kernel = self._frame.kernel
        now = kernel.clock.now()
        with kernel.write_session() as session:
            person = person_of(session, signed_in, now, By(self._provider_acts()))
            self._frame.sessions.begin(session, answer, now, person_id=person.id, key_id=None)
            by = by_page(kernel.settings, person.name, None)
            by.record(session, "session.begin", f"session of {person.name}")

    def _provider_acts(self) -> Actor:
        """Return the provider as who acts: by its word people are added, changed and refused."""
        settings = self._frame.kernel.settings
        return Actor(settings.oidc_issuer, "page", client_address(settings))

    def _refused(self, refused: SignInRefused, back: str) -> Response:
        """Show why, above the form for a key, which works without the provider."""
        address = client_address(self._frame.kernel.settings) or ""
        log.warning("sign-in by the provider refused, from %s: %s", address, refused)
        try:
            if (found := gate()) is not None and refused.said != "oidc_away":
                found.count_wrong_key(address)
        except TooManyRequests as limited:
            return self._sign_in.too_often(limited, back)
        self._note(refused, address)
        page = self._sign_in.form(STATUS[refused.said], refused.said, back)
        if page.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            page.headers["Retry-After"] = str(RETRY_SECONDS)
        return page

    def _note(self, refused: SignInRefused, address: str) -> None:
        """Write an act of a person whom the provider knows and who may not come in.

        Strangers come without one: they are counted, as their keys would be, and fill no table.
        """
        kernel = self._frame.kernel
        if refused.said in KNOWN_AND_REFUSED:
            facts = {"why": str(refused)}
            with kernel.write() as connection:
                by = By(self._provider_acts())
                by.record(connection, "sign_in.refused", "dashboard", after=facts)
        elif refused.said != "oidc_away":
            kernel.refusals.note("", address, kernel.clock.now())

    def _provider(self) -> OidcProvider:
        return self._frame.kernel.one(OidcProvider)

    def _redirect_uri(self) -> str:
        """Return where the provider sends the browser: never what a request calls this host."""
        return self._frame.public_address("finish_oidc")

    def _seal(self, attempt: Attempt) -> str:
        now = int(self._frame.kernel.clock.now().timestamp())
        return self._fernet().encrypt_at_time(attempt.dump(), now).decode("ascii")

    def _fernet(self) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self._keys.for_purpose(PURPOSE)))


def oidc_pages(frame: Frame, sign_in: SignIn) -> None:
    """Add the pages to ``frame``; they need no session."""
    pages = OidcPages(frame, sign_in)
    frame.add_open("/oidc/start", pages.start_oidc, "GET")
    frame.add_open("/oidc/callback", pages.finish_oidc, "GET")
