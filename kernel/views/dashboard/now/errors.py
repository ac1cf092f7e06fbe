"""Failures by their kind: the list, and the page of one with its course and its tracebacks."""

from typing import Any

from flask import Response, request

from kernel.callers.people.roles import Role
from kernel.insight.failures import errors as known
from kernel.insight.failures.errors import Which
from kernel.views.dashboard.frame import Frame
from kernel.views.http.sessions import Visitor


def error_pages(frame: Frame) -> None:
    """Add the pages to ``frame``."""
    kernel = frame.kernel

    @frame.page("/errors")
    def errors(visitor: Visitor) -> Response:
        given, tag = request.args.get("state", ""), request.args.get("tag", "").strip()[:100]
        which = Which(given) if given in set(Which) else Which.OPEN
        before = request.args.get("before", "")
        page = (which, tag or None, known.place_of(before))
        with kernel.read_session() as session:
            found = known.list_errors(session, kernel.clock.now(), *page)
        return frame.render(
            "dashboard/errors/list.html",
            found=found,
            older=known.written_place(found.next),
            newer=before or None,
            which=which,
            tag=tag,
            states=list(Which),
            tells_errors=visitor.role.includes(Role.OPERATOR),
        )

    @frame.page("/errors/<fingerprint>")
    def error(visitor: Visitor, fingerprint: str) -> Response:
        now = kernel.clock.now()
        with kernel.read_session() as session:
            one = known.find_error(session, fingerprint, now)
            days = known.days_of(session, fingerprint, now)
            failures = known.latest_of(session, fingerprint)
            named = known.references_of(session, failures)
        told: dict[str, Any] = {"one": one, "days": days, "failures": failures}
        told |= {"references": named, "tells_errors": visitor.role.includes(Role.OPERATOR)}
        return frame.render("dashboard/errors/one.html", **told)

    @frame.change("/errors/<fingerprint>/resolve")
    def resolve_error(visitor: Visitor, fingerprint: str) -> Response:
        done = known.resolve(kernel, fingerprint, frame.by(visitor))
        said = "done_error_resolved" if done else "done_error_was_resolved"
        return frame.back("error", said, fingerprint=fingerprint)

    @frame.change("/errors/<fingerprint>/reopen")
    def reopen_error(visitor: Visitor, fingerprint: str) -> Response:
        done = known.reopen(kernel, fingerprint, frame.by(visitor))
        said = "done_error_reopened" if done else "done_error_was_open"
        return frame.back("error", said, fingerprint=fingerprint)
