"""`/v1/errors`: failures by their kind, for operators; resolved and opened again."""

from collections.abc import Callable
from typing import Any, Literal

from flask import Response
from pydantic import BaseModel, Field

from kernel.callers.identity import Identity
from kernel.callers.people.roles import Role
from kernel.errors import InvalidQuery
from kernel.formats.envelope import envelope
from kernel.formats.order_request import problem
from kernel.formats.texts import text
from kernel.insight.failures.errors import (
    PAGE,
    Which,
    course_data,
    days_of,
    error_data,
    find_error,
    latest_of,
    list_errors,
    place_of,
    references_of,
    reopen,
    resolve,
    written_place,
)
from kernel.insight.failures.runs import failed_run_data
from kernel.runtime.kernel import Kernel
from kernel.views.http.acting import by_request
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import read_query


class ErrorsQuery(BaseModel, extra="forbid"):
    """The query string of GET /v1/errors."""

    state: Literal["open", "resolved", "all"] = "open"
    tag: str | None = Field(None, max_length=100)
    cursor: str | None = Field(None, max_length=100)
    limit: int = Field(PAGE, ge=1, le=PAGE)


class ErrorViews:
    """The views, bound to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def routes(self) -> dict[str, dict[str, Callable[..., Response]]]:
        """Return the views by rule and method."""
        return {
            "/errors": {"GET": self.show_errors},
            "/errors/<fingerprint>": {"GET": self.show_error},
            "/errors/<fingerprint>/resolve": {"POST": self.resolve_error},
            "/errors/<fingerprint>/reopen": {"POST": self.reopen_error},
        }

    def show_errors(self) -> Response:
        """GET /v1/errors: the latest seen first."""
        who = identity(self.kernel, Role.VIEWER)
        asked = read_query(ErrorsQuery)
        below = None if asked.cursor is None else place_of(asked.cursor)
        if asked.cursor is not None and below is None:
            detail = "give the next_cursor of an answer"
            raise InvalidQuery(errors=[problem("/cursor", "invalid", detail)])
        page = (Which(asked.state), asked.tag, below, asked.limit)
        with self.kernel.read_session() as session:
            found = list_errors(session, self.kernel.clock.now(), *page)
        errors = [error_data(one, tells_errors=_tells_errors(who)) for one in found.errors]
        return self._success({"errors": errors, "next_cursor": written_place(found.next)})

    def show_error(self, fingerprint: str) -> Response:
        """GET /v1/errors/{fingerprint}: with its course, and its latest failures."""
        who = identity(self.kernel, Role.VIEWER)
        return self._success(self._one(fingerprint, who))

    def resolve_error(self, fingerprint: str) -> Response:
        """POST /v1/errors/{fingerprint}/resolve: it opens by itself when it comes again."""
        who = identity(self.kernel, Role.OPERATOR)
        done = resolve(self.kernel, fingerprint, by_request(self.kernel, who))
        return self._success(self._one(fingerprint, who) | {"changed": done})

    def reopen_error(self, fingerprint: str) -> Response:
        """POST /v1/errors/{fingerprint}/reopen: it was resolved too early."""
        who = identity(self.kernel, Role.OPERATOR)
        done = reopen(self.kernel, fingerprint, by_request(self.kernel, who))
        return self._success(self._one(fingerprint, who) | {"changed": done})

    def _one(self, fingerprint: str, who: Identity) -> dict[str, Any]:
        tells, now = _tells_errors(who), self.kernel.clock.now()
        with self.kernel.read_session() as session:
            one = find_error(session, fingerprint, now)
            days = days_of(session, fingerprint, now)
            latest = latest_of(session, fingerprint)
            named = references_of(session, latest)
        failures = [failed_run_data(run, named, tells_errors=tells) for run in latest]
        course = {"hours": course_data(one.hours), "days": course_data(days)}
        return error_data(one, tells_errors=tells) | course | {"failures": failures}

    def _success(self, data: dict[str, Any]) -> Response:
        language = self.kernel.settings.language
        return json_response(200, envelope(0, text("success", language), data))


def _tells_errors(who: Identity) -> bool:
    """Whether the texts of exceptions are told: they may quote all that a handler works with."""
    return who.role is not None and who.role.includes(Role.OPERATOR)
