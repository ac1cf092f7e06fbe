"""Pauses, by API: an operator pauses callbacks and orders, with an end or without, and resumes."""

import re
from datetime import datetime
from typing import Any

from flask import Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from kernel.callers.people.roles import Role
from kernel.errors import InvalidOrder, NotFound
from kernel.formats.envelope import envelope, rfc3339
from kernel.formats.order_request import problem
from kernel.formats.texts import text
from kernel.pauses.changes import end_after, pause, resume
from kernel.pauses.listing import PauseShown, find_pause, list_pauses
from kernel.pauses.subjects import Subject, is_known, subject_named
from kernel.runtime.hints import Hints
from kernel.runtime.kernel import Kernel
from kernel.views.http.acting import by_request
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import Host, Moment, read_as

NUMBER = re.compile(r"[0-9]{1,9}")
WORDS = "give one of host, caller, caller with receiver, tag, orders_of"


class PauseRequest(BaseModel, extra="forbid"):
    """The body of POST /v1/pauses: what is held, and until when.

    Callbacks to a host (name, or name:port), of a caller, of a caller's receiver; orders of a tag,
    or of a caller (`orders_of`). An end is a time, or `for` a duration as `90s`, `5m`, `2h`, `4d`.
    """

    host: Host | None = None
    caller: str | None = Field(None, max_length=100)
    receiver: str | None = Field(None, max_length=100)
    tag: str | None = Field(None, max_length=100)
    orders_of: str | None = Field(None, max_length=100)
    until: Moment | None = None
    lasts: str | None = Field(None, alias="for", max_length=20)

    def subject(self, session: Session) -> Subject:
        """Return what is to be held. Raises InvalidOrder, NotFound."""
        given = self.model_dump(include={"host", "caller", "receiver", "tag", "orders_of"})
        given = {name: value for name, value in given.items() if value is not None}
        if given.keys() == {"caller", "receiver"}:
            return subject_named(session, "receiver", f"{self.caller}/{self.receiver}")
        if len(given) != 1 or self.receiver is not None:
            raise InvalidOrder(errors=[problem("", "one_of", WORDS)])
        ((what, name),) = given.items()
        return subject_named(session, what, name)


class PauseViews:
    """The views, bound to one kernel; ``hints`` is told of orders that go on."""

    def __init__(self, kernel: Kernel, hints: Hints) -> None:
        self.kernel = kernel
        self._hints = hints

    def show_pauses(self) -> Response:
        """GET /v1/pauses: what is paused now."""
        identity(self.kernel, Role.VIEWER)
        with self.kernel.read_session() as session:
            return self._success({"pauses": [_pause_data(one) for one in list_pauses(session)]})

    def pause(self) -> Response:
        """POST /v1/pauses: hold callbacks or orders."""
        who = identity(self.kernel, Role.OPERATOR)
        asked = read_as(PauseRequest, self.kernel.settings.max_body_bytes)
        until, problems = self._until(asked)
        with self.kernel.read_session() as session:
            try:
                subject = asked.subject(session)
            except InvalidOrder as invalid:
                problems = [*invalid.data["errors"], *problems]
            if problems:
                raise InvalidOrder("the pause is not valid", errors=problems)
            known = is_known(session, subject, self.kernel.handlers)
        held = pause(self.kernel, subject, until=until, by=by_request(self.kernel, who))
        self._hints.hint(held.woken)
        said = {"held": held.number, "host": asked.host, "known": known, "until": rfc3339(until)}
        return self._success(said, 201)

    def _until(self, asked: PauseRequest) -> tuple[datetime | None, list[dict[str, Any]]]:
        """Return when a pause is to end, and what is wrong with that."""
        if asked.lasts is None:
            return asked.until, []
        if asked.until is not None:
            return None, [problem("/for", "one_of", "give until or for")]
        try:
            return end_after(self.kernel, asked.lasts), []
        except ValueError as error:
            return None, [problem("/for", "no_duration", str(error))]

    def resume(self, pause_id: str) -> Response:
        """DELETE /v1/pauses/{id}: let go what it held."""
        who = identity(self.kernel, Role.OPERATOR)
        found = None
        if NUMBER.fullmatch(pause_id):
            with self.kernel.read_session() as session:
                found = find_pause(session, int(pause_id))
        if found is None:
            raise NotFound
        resumed = resume(self.kernel, found.subject, by=by_request(self.kernel, who))
        self._hints.hint(resumed.woken)
        return self._success({"released": resumed.number})

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        language = self.kernel.settings.language
        return json_response(status, envelope(0, text("success", language), data))


def _pause_data(one: PauseShown) -> dict[str, Any]:
    return {
        "pause_id": one.id,
        "host": one.host,
        "caller_id": one.caller_id,
        "caller": None if one.orders_of is not None else one.caller,
        "receiver": one.receiver,
        "tag": one.tag,
        "orders_of": None if one.orders_of is None else one.caller,
        "created_at": rfc3339(one.since),
        "until": rfc3339(one.until),
        "by": one.by_whom,
        "reason": one.why,
    }
