"""Many callbacks at once, by API: replay one's own; an operator pauses and resumes hosts."""

import re
from typing import Any, TypeVar

from flask import Response
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from kernel.callers.identity import Scope, find
from kernel.db.states import DeliveryState
from kernel.db.tables.deliveries import Pause
from kernel.delivery.pauses import list_pauses, pause, resume
from kernel.delivery.redeliver import DeliveryFilter, count, replay
from kernel.errors import InvalidOrder, NotFound
from kernel.formats.envelope import encode, envelope, rfc3339
from kernel.formats.order_request import problem
from kernel.formats.strictjson import escape_pointer
from kernel.formats.texts import text
from kernel.runtime.kernel import Kernel
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import read_members

NUMBER = re.compile(r"[0-9]{1,9}")
Body = TypeVar("Body", bound=BaseModel)


class ReplayRequest(BaseModel, extra="forbid"):
    """The body of POST /v1/deliveries/replay; every member may be left out."""

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    host: str | None = Field(None, pattern=r"^[!-~]{1,300}$")
    status: DeliveryState | None = None
    dry_run: bool = False


class PauseRequest(BaseModel, extra="forbid"):
    """The body of POST /v1/pauses: a host (name, or name:port) or a caller's name."""

    host: str | None = Field(None, pattern=r"^[!-~]{1,300}$")
    caller: str | None = Field(None, max_length=100)


class PauseViews:
    """The views, bound to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def replay_deliveries(self) -> Response:
        """POST /v1/deliveries/replay: send one's own callbacks again that are over."""
        who = identity(self.kernel, Scope.WRITE)
        asked = self._read(ReplayRequest)
        wanted = DeliveryFilter(who.sees, asked.status, asked.host, asked.since, asked.until)
        with self.kernel.read_session() as session:
            total = count(session, wanted)
        done = 0 if asked.dry_run else replay(self.kernel, wanted)
        return self._success({"count": total, "replayed": done}, 200 if asked.dry_run else 202)

    def show_pauses(self) -> Response:
        """GET /v1/pauses: what is paused now."""
        identity(self.kernel, Scope.OPERATOR)
        with self.kernel.read_session() as session:
            return self._success({"pauses": [_pause_data(one) for one in list_pauses(session)]})

    def pause(self) -> Response:
        """POST /v1/pauses: hold what is owed to a host or for a caller."""
        identity(self.kernel, Scope.OPERATOR)
        asked = self._read(PauseRequest)
        if (asked.host is None) == (asked.caller is None):
            detail = "give either host or caller"
            raise InvalidOrder(errors=[problem("", "one_of", detail)])
        caller_id = None
        if asked.caller is not None:
            with self.kernel.read_session() as session:
                caller_id = find(session, asked.caller).id
        held = pause(self.kernel, host=asked.host, caller_id=caller_id)
        return self._success({"held": held}, 201)

    def resume(self, pause_id: str) -> Response:
        """DELETE /v1/pauses/{id}: let go what it held."""
        identity(self.kernel, Scope.OPERATOR)
        with self.kernel.read_session() as session:
            found = session.get(Pause, int(pause_id)) if NUMBER.fullmatch(pause_id) else None
            if found is None:
                raise NotFound
            host, caller_id = found.host, found.caller_id
        return self._success({"released": resume(self.kernel, host=host, caller_id=caller_id)})

    def _read(self, kind: type[Body]) -> Body:
        members = read_members(self.kernel.settings.max_body_bytes)
        try:
            return kind.model_validate_json(encode(members), strict=True)
        except ValidationError as error:
            problems = [
                problem(
                    "".join(f"/{escape_pointer(p)}" for p in one["loc"]), one["type"], one["msg"]
                )
                for one in error.errors(include_url=False, include_input=False)
            ]
            raise InvalidOrder("the request is not valid", errors=problems) from None

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        language = self.kernel.settings.language
        return json_response(status, envelope(0, text("success", language), data))


def _pause_data(one: Pause) -> dict[str, Any]:
    return {
        "pause_id": one.id,
        "host": one.host,
        "caller_id": one.caller_id,
        "created_at": rfc3339(one.created_at),
    }
