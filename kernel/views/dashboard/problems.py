"""Errors of the dashboard as pages: what happened, in the visitor's language, and what to do."""

import logging

from flask import Response, g, request
from werkzeug.exceptions import HTTPException, default_exceptions

from kernel import errors
from kernel.db.errors import DATABASE_ERRORS
from kernel.formats.texts import TEXTS as MESSAGES
from kernel.views.dashboard.frame import FormRefused, Frame
from kernel.views.dashboard.signing_in.sign_in import SignIn
from kernel.views.html.rendering import is_fragment
from kernel.views.http.errors import HTTP_CODES, in_words, is_unavailable, retry_after, status_of
from kernel.views.http.tracking import trace_of_request

log = logging.getLogger(__name__)


def install(frame: Frame, sign_in: SignIn) -> None:
    """Answer every error raised below ``frame`` with a page."""

    def on_kernel_error(error: errors.KernelError) -> Response:
        if isinstance(error, errors.Unauthenticated):
            return _ask_for_key(sign_in)
        if status_of(error) == 500:
            return on_bug(error)
        code = str(error.data.get("page", error.code))
        return problem(frame, status_of(error), code, retry_after(error), in_words(error))

    def on_http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code = "page_not_found" if status == 404 else HTTP_CODES.get(status, "bad_request")
        if isinstance(error, FormRefused):
            return problem(frame, status, "form_refused", detail=str(error.description))
        return problem(frame, status, code)

    def on_database_error(error: Exception) -> Response:
        if not is_unavailable(error):
            return on_bug(error)
        return problem(frame, 503, "unavailable", 2)

    def on_bug(error: Exception) -> Response:
        log.error("bug in a page", exc_info=error)
        return problem(frame, 500, "internal_error")

    handle = frame.blueprint.register_error_handler
    handle(errors.KernelError, on_kernel_error)
    handle(HTTPException, on_http_error)
    for code in default_exceptions:  # by number, too, as in the API
        handle(code, on_http_error)
    for kind in DATABASE_ERRORS:
        handle(kind, on_database_error)
    handle(Exception, on_bug)


def problem(
    frame: Frame, status: int, code: str, retry_after: int | None = None, detail: str = ""
) -> Response:
    """Render the page of an error. ``code`` is a text of the pages, or one of the API's.

    ``retry_after``: seconds, as the header of that name says as well. ``detail``: what commands
    and the API say of it, in English; for those who have signed in.
    """
    page = frame.render(
        "dashboard/problem.html",
        status,
        code=code,
        message=MESSAGES.get(code),
        retry_after=retry_after,
        detail=detail if g.get("kernel_visitor") else "",
        request_id=trace_of_request().request_id,
        number=status,
    )
    if retry_after is not None:
        page.headers["Retry-After"] = str(retry_after)
    return page


def _ask_for_key(sign_in: SignIn) -> Response:
    """Show the sign-in form in place of the page; a script that polls loads the page anew."""
    back = request.full_path.rstrip("?") if request.method == "GET" else ""
    answer = sign_in.form(401, "ask_for_key", request.script_root + back if back else "")
    answer.headers["WWW-Authenticate"] = 'Bearer realm="kernel"'
    if is_fragment():
        answer.headers["HX-Refresh"] = "true"
    return answer
