"""`/v1/notifications`: the rules of who is told what is wrong, as `kernel notify` has them."""

from collections.abc import Callable
from typing import Any

from flask import Response
from pydantic import BaseModel, Field

from kernel.callers.people.roles import Role
from kernel.formats.envelope import envelope
from kernel.formats.texts import text
from kernel.insight.conditions.notices import rows, telling
from kernel.runtime.kernel import Kernel
from kernel.views.http.acting import by_request
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import read_as


class NewNotice(BaseModel, extra="forbid"):
    """The body of POST /v1/notifications. ``conditions``: none for all that are no notices."""

    name: str = Field(max_length=100)
    receiver: str = Field(max_length=100)
    conditions: list[str] = Field(default_factory=list, max_length=50)
    recovers: bool = True


class NoticeViews:
    """The views, bound to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def routes(self) -> dict[str, dict[str, Callable[..., Response]]]:
        """Return the views by rule and method."""
        return {
            "/notifications": {"GET": self.show_notices, "POST": self.add_notice},
            "/notifications/<name>": {"DELETE": self.remove_notice},
            "/notifications/<name>/test": {"POST": self.test_notice},
        }

    def show_notices(self) -> Response:
        """GET /v1/notifications: the rules by name."""
        identity(self.kernel, Role.VIEWER)
        with self.kernel.read_session() as session:
            found = [rows.notice_data(one) for one in rows.list_notices(session)]
        return self._success({"rules": found})

    def add_notice(self) -> Response:
        """POST /v1/notifications: conditions are told to a receiver of `kernel-notify`."""
        who = identity(self.kernel, Role.OPERATOR)
        asked = read_as(NewNotice, self.kernel.settings.max_body_bytes)
        by, recovers = by_request(self.kernel, who), asked.recovers
        given = (asked.name, asked.receiver, asked.conditions)
        rows.add(self.kernel, *given, recovers=recovers, by=by)
        with self.kernel.read_session() as session:
            made = rows.notice_data(rows.find(session, asked.name))
        return self._success(made, 201)

    def remove_notice(self, name: str) -> Response:
        """DELETE /v1/notifications/{name}: what was sent stays."""
        who = identity(self.kernel, Role.OPERATOR)
        rows.remove(self.kernel, name, by_request(self.kernel, who))
        return self._success({"removed": name})

    def test_notice(self, name: str) -> Response:
        """POST /v1/notifications/{name}/test: send one notification of nothing."""
        who = identity(self.kernel, Role.OPERATOR)
        order_id = telling.send_test(self.kernel, name, by_request(self.kernel, who))
        return self._success({"order_id": order_id}, 202)

    def _success(self, data: dict[str, Any], status: int = 200) -> Response:
        language = self.kernel.settings.language
        return json_response(status, envelope(0, text("success", language), data))
