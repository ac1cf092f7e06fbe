"""Which HTTP status an error has. Every answer is the envelope; no traceback ever leaves."""

import logging
from contextlib import suppress
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, default_exceptions

from kernel import errors
from kernel.db.errors import DATABASE_ERRORS, blames_statement, driver_error, is_passing
from kernel.formats.envelope import encode, envelope
from kernel.formats.texts import Language, text
from kernel.views.http.slashes import meant_address
from kernel.views.http.tracking import METHODS

log = logging.getLogger(__name__)

STATUS: dict[type[errors.KernelError], int] = {
    errors.InvalidJson: 400,
    errors.NotJson: 415,
    errors.BodyTooLarge: 413,
    errors.InvalidOrder: 422,
    errors.InvalidQuery: 422,
    errors.IdempotencyKeyReused: 422,
    errors.Unauthenticated: 401,
    errors.KeyExpired: 401,
    errors.Forbidden: 403,
    errors.Misdirected: 421,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooManyRequests: 429,
    errors.TooManyPending: 503,
    errors.Unavailable: 503,
}
# How the endpoint begins whose view refuses, in our words, what its rules match.
REFUSES = "refuse"
HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
# After an error that passes, and does not say when: a person has to do something, mostly.
RETRY_SECONDS = 10
# Answers are one caller's, and of this moment.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_response(
    status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> Response:
    """Answer with ``body`` as UTF-8 JSON."""
    return Response(encode(body), status, HEADERS | (headers or {}), mimetype="application/json")


def refusal(error: errors.KernelError, language: Language) -> Response:
    """The answer for one of our own errors that a caller may know of."""
    headers = {}
    if (seconds := retry_after(error)) is not None:
        headers["Retry-After"] = str(seconds)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="kernel", Basic realm="kernel"'
    return json_response(status_of(error), refusal_body(error, language), headers)


def retry_after(error: errors.KernelError) -> int | None:
    """After how many seconds the same may succeed, of an error that passes; None of others."""
    passes = RETRY_SECONDS if isinstance(error, errors.Unavailable) else None
    seconds: int | None = error.data.get("retry_after", passes)
    return seconds


def refusal_body(error: errors.KernelError, language: Language) -> dict[str, Any]:
    """The envelope for one of our own errors; ``detail`` where it says more than its class."""
    data = {"code": error.code, **error.data}
    if error.message != _first_line(type(error)):
        data["detail"] = error.message
    return envelope(-1, text(error.code, language), data)


def in_words(error: errors.KernelError) -> str:
    """Return what an error says beyond its class, each problem with its place; "" for nothing."""
    own = [] if error.message == _first_line(type(error)) else [error.message]
    problems = error.data.get("errors", ())
    return "; ".join([*own, *(f"{one['pointer'] or '/'}: {one['detail']}" for one in problems)])


def _first_line(kind: type[errors.KernelError]) -> str:
    """The message of such an error when none was given: its docstring's first line."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def status_of(error: errors.KernelError) -> int:
    """The HTTP status; 500 for an error that no caller should ever cause or see."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def is_unavailable(error: Exception) -> bool:
    """Tell whether the database is away or busy, so that 503 is the answer; say so in the log.

    So it is after an error that no list has: the same request may succeed later.
    """
    if is_passing(error):
        log.warning("unavailable: %s", driver_error(error))
        return True
    if isinstance(error, DATABASE_ERRORS) and not blames_statement(error):
        log.error("unavailable, by an error that is not known", exc_info=error)
        return True
    return False


def by_views() -> HTTPException:
    """Return what to say of a method that no rule of the address has, an invented one mostly.

    Werkzeug names the methods of all rules, those among them that are there to refuse.
    """
    adapter, found = current_app.create_url_adapter(request), list[str]()
    for method in sorted(METHODS):
        with suppress(HTTPException):
            endpoint = adapter.match(method=method)[0] if adapter is not None else REFUSES
            if not endpoint.rpartition(".")[2].startswith(REFUSES):
                found.append(method)
    return MethodNotAllowed(found) if found else NotFound()


def install(target: Flask | Blueprint, language: Language) -> None:
    """Answer every error raised under ``target`` in the envelope."""

    def on_kernel_error(error: errors.KernelError) -> Response:
        if status_of(error) == 500:
            return on_bug(error)
        if isinstance(error, errors.Unavailable):
            log.warning("unavailable: %s", error.__cause__ or error.message)
        return refusal(error, language)

    def on_http_error(error: HTTPException) -> Response:
        if isinstance(error, MethodNotAllowed) and request.routing_exception is error:
            error = by_views()
        status = error.code or 500
        code = HTTP_CODES.get(status, "bad_request" if status < 500 else "internal_error")
        detail = meant_address() if status == 404 else None
        data = {"code": code} | ({"detail": detail} if detail else {})
        answer = json_response(status, envelope(-1, text(code, language), data))
        if allowed := dict(error.get_headers()).get("Allow"):
            answer.headers["Allow"] = allowed
        return answer

    def on_database_error(error: Exception) -> Response:
        if not is_unavailable(error):
            return on_bug(error)
        return refusal(errors.Unavailable(retry_after=2), language)

    def on_bug(error: Exception) -> Response:
        log.error("bug in a view", exc_info=error)
        code = "internal_error"
        return json_response(500, envelope(-1, text(code, language), {"code": code}))

    target.register_error_handler(errors.KernelError, on_kernel_error)
    target.register_error_handler(HTTPException, on_http_error)
    # By number, too: for that, an application that we are mounted in may have answers of its own.
    for code in default_exceptions:
        target.register_error_handler(code, on_http_error)
    for kind in DATABASE_ERRORS:
        target.register_error_handler(kind, on_database_error)
    target.register_error_handler(Exception, on_bug)
