"""What a page says once of the change that led to it, as in "The order is cancelled".

It travels in a cookie that is signed for the visitor's session: a link cannot make a page say it.
"""

import hashlib
import hmac

from flask import Response, request

from kernel.views.html.rendering import is_fragment
from kernel.views.html.texts import TEXTS
from kernel.views.http.sessions import Visitor

# The prefix: see `kernel.views.http.sessions.COOKIE`.
COOKIE = "__Host-kernel-said"
# Only texts with these beginnings can be said.
DONE = "done_"
# In case the page is never opened.
SECONDS = 60


def say_next(answer: Response, visitor: Visitor | None, key: str) -> None:
    """Have the next page that this visitor opens say the text ``key``."""
    if visitor is not None and key:
        value = f"{key}.{_signature(visitor, key)}"
        answer.set_cookie(
            COOKIE, value, SECONDS, path="/", httponly=True, samesite="Lax", secure=True
        )


def said(visitor: Visitor | None) -> str:
    """Return the key of the text to say; empty if there is none, or it is another session's."""
    key, _, signature = request.cookies.get(COOKIE, "").partition(".")
    if visitor is None or is_fragment() or not key.startswith(DONE) or key not in TEXTS:
        return ""
    genuine = hmac.compare_digest(signature.encode(), _signature(visitor, key).encode())
    return key if genuine else ""


def forget(answer: Response) -> None:
    """Remove the cookie from a page that has said it."""
    if COOKIE in request.cookies and not is_fragment():
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="Lax", secure=True)


def _signature(visitor: Visitor, key: str) -> str:
    # The token is the session's own secret, known to its pages alone.
    return hmac.new(visitor.token.encode(), b"said:" + key.encode(), hashlib.sha256).hexdigest()
