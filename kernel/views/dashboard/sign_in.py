"""Sign-in with an operator's API key, and sign-out."""

import logging

from flask import Response, request, url_for

from kernel.errors import Forbidden, TooManyRequests, Unauthenticated
from kernel.views.dashboard.frame import Frame
from kernel.views.html.rendering import FORM_BYTES, go_to, safe_next
from kernel.views.http.gate import gate
from kernel.views.http.origin import keeps_secrets, refuse_other_sites
from kernel.views.http.sessions import LIFETIME

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
            hours=int(LIFETIME.total_seconds() // 3600),
        )

    def sign_in(self) -> Response:
        """POST an operator's key: go on to the page that was asked for, with a session.

        A wrong key is looked up like a right one and takes as long. Only wrong ones are counted,
        so trying keys keeps no operator out.
        """
        refuse_other_sites()
        request.max_content_length = FORM_BYTES
        back = safe_next(request.form.get("next"), url_for(".overview"))
        if not keeps_secrets():
            return self.form(403)
        answer = go_to(back)
        try:
            who = self._frame.sessions.open(answer, request.form.get("key", "").strip())
        except Unauthenticated:
            return self._refused(back)
        except Forbidden:
            return self.form(403, "sign_in_no_operator", back)
        log.info("operator signed in", extra={"caller": who.name, "key_id": who.key_id})
        return answer

    def show_form(self) -> Response:
        """GET the form."""
        return self.form(200)

    def sign_out(self) -> Response:
        """POST: end the session in this browser."""
        self._frame.check_change()
        answer = go_to(url_for(".show_form"))
        self._frame.sessions.close(answer)
        return answer

    def _refused(self, back: str) -> Response:
        log.warning("wrong key at the sign-in from %s", request.remote_addr)
        try:
            if (found := gate()) is not None:
                found.count_wrong_key(request.remote_addr or "")
        except TooManyRequests as refused:
            seconds = int(refused.data["retry_after"])
            answer = self.form(429, "sign_in_too_often", back, seconds=seconds)
            answer.headers["Retry-After"] = str(seconds)
            return answer
        return self.form(401, "sign_in_wrong", back)


def sign_in_pages(frame: Frame) -> SignIn:
    """Add the pages to ``frame``; they need no session."""
    sign_in = SignIn(frame)
    frame.add_open("/sign-in", sign_in.show_form, "GET")
    frame.add_open("/sign-in", sign_in.sign_in, "POST")
    frame.add_open("/sign-out", sign_in.sign_out, "POST")
    return sign_in
