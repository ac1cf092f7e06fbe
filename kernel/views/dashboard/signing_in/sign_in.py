"""Sign-in with an operator's API key, and sign-out."""

import logging

from flask import Response, request, url_for

from kernel.errors import Forbidden, KeyExpired, TooManyRequests, Unauthenticated
from kernel.views.dashboard.frame import Frame
from kernel.views.html.rendering import FORM_BYTES, go_to, safe_next
from kernel.views.http.client_address import client_address
from kernel.views.http.gate import gate
from kernel.views.http.origin import keeps_secrets, refuse_other_sites
from kernel.views.http.requests import limit_body

log = logging.getLogger(__name__)


class SignIn:
    """The sign-in and sign-out of one dashboard."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def form(self, status: int, said: str = "", back: str = "", **values: int) -> Response:
        """Show the form; ``said`` is the key of a text above it, ``back`` the page to go on to."""
        return self._frame.render(
            "dashboard/sign_in.html",
            status,
            said=said if keeps_secrets() else "sign_in_plain",
            said_values=values,
            possible=keeps_secrets(),
            back=back,
            oidc=self._oidc(back),
            hours=f"{self._frame.kernel.settings.session_hours:g}",
            idle=f"{self._frame.kernel.settings.session_idle_minutes:g}",
        )

    def sign_in(self) -> Response:
        """POST an operator's key: go on to the page that was asked for, with a session.

        A wrong key is looked up like a right one and takes as long. Only wrong ones are counted,
        so trying keys keeps no operator out.
        """
        refuse_other_sites()
        limit_body(FORM_BYTES)
        back = safe_next(request.form.get("next"), url_for(".overview"))
        if not keeps_secrets():
            return self.form(403)
        answer = go_to(back)
        try:
            who = self._frame.sessions.open(answer, request.form.get("key", "").strip())
        except Unauthenticated as refused:
            return self._refused(back, _reason(refused))
        except Forbidden:
            return self.form(403, "sign_in_no_operator", back)
        extra = {"caller": who.name, "person": who.person, "key_id": who.key_id}
        log.info("operator signed in", extra=extra)
        return answer

    def show_form(self) -> Response:
        """GET the form; ``next`` is the page to go on to afterwards."""
        return self.form(200, back=safe_next(request.args.get("next"), ""))

    def sign_out(self) -> Response:
        """POST: end the session."""
        visitor = self._frame.check_change()  # of any role, and also while read-only
        answer = go_to(url_for(".show_form"))
        self._frame.sessions.close(answer, visitor)
        return answer

    def _refused(self, back: str, said: str) -> Response:
        address = client_address(self._frame.kernel.settings) or ""
        log.warning("wrong key at the sign-in from %s", address)
        try:
            if (found := gate()) is not None:
                found.count_wrong_key(address)
        except TooManyRequests as refused:
            return self.too_often(refused, back)
        return self.form(401, said, back)

    def too_often(self, refused: TooManyRequests, back: str) -> Response:
        """Answer a sign-in from an address that has failed too often."""
        seconds = int(refused.data["retry_after"])
        answer = self.form(429, "sign_in_too_often", back, seconds=seconds)
        answer.headers["Retry-After"] = str(seconds)
        return answer

    def _oidc(self, back: str) -> str:
        """Return where the provider's sign-in begins, "" without a provider.

        In full: the cookie of the attempt must be set by the host to which the provider leads back.
        """
        if not self._frame.kernel.settings.oidc_issuer:
            return ""
        return self._frame.public_address("start_oidc", next=back or None)


def _reason(refused: Unauthenticated) -> str:
    """Return the text for a key that is refused; of a key that was right its holder is told why."""
    if isinstance(refused, KeyExpired):
        return "sign_in_expired"
    plain = refused.message == Unauthenticated().message
    return "sign_in_wrong" if plain else "sign_in_elsewhere"


def sign_in_pages(frame: Frame) -> SignIn:
    """Add the pages to ``frame``; they need no session."""
    sign_in = SignIn(frame)
    frame.add_open("/sign-in", sign_in.show_form, "GET")
    frame.add_open("/sign-in", sign_in.sign_in, "POST")
    frame.add_open("/sign-out", sign_in.sign_out, "POST")
    return sign_in
