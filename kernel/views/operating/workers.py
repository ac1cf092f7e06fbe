"""`/v1/workers`: what each process runs; hosts are drained and resumed, processes terminated."""

from collections.abc import Callable
from typing import Any

from flask import Response
from pydantic import BaseModel, Field

from kernel.callers.people.roles import Role
from kernel.formats.envelope import envelope
from kernel.formats.texts import text
from kernel.insight.trends.series import Trends
from kernel.insight.workers.asking import drain, resume, terminate
from kernel.insight.workers.shown import read_workers, workers_data
from kernel.runtime.kernel import Kernel
from kernel.views.http.acting import by_request
from kernel.views.http.credentials import identity
from kernel.views.http.errors import json_response
from kernel.views.http.requests import read_as, read_query


class NoQuery(BaseModel, extra="forbid"):
    """A query string with nothing in it."""


class HostRequest(BaseModel, extra="forbid"):
    """The body of POST /v1/workers/drain and .../resume: a host, as its processes name it."""

    host: str = Field(min_length=1, max_length=255)


class WorkerViews:
    """The views, bound to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.trends = Trends(kernel)

    def routes(self) -> dict[str, dict[str, Callable[..., Response]]]:
        """Return the views by rule and method."""
        return {
            "/workers": {"GET": self.show_workers},
            "/workers/drain": {"POST": self.drain_host},
            "/workers/resume": {"POST": self.resume_host},
            "/workers/<process_id>/terminate": {"POST": self.terminate_process},
        }

    def show_workers(self) -> Response:
        """GET /v1/workers: every process, and the drained hosts."""
        identity(self.kernel, Role.VIEWER)
        read_query(NoQuery)
        return self._success(workers_data(read_workers(self.kernel, self.trends)))

    def drain_host(self) -> Response:
        """POST /v1/workers/drain: take nothing new on a host, until resumed."""
        return self._change(drain)

    def resume_host(self) -> Response:
        """POST /v1/workers/resume: take work again on a drained host."""
        return self._change(resume)

    def terminate_process(self, process_id: str) -> Response:
        """POST /v1/workers/{id}/terminate: hand back what a process runs, and end it."""
        who = identity(self.kernel, Role.OPERATOR)
        name = terminate(self.kernel, process_id, by_request(self.kernel, who))
        return self._success({"process_id": process_id, "process": name})

    def _change(self, change: Callable[..., int]) -> Response:
        who = identity(self.kernel, Role.OPERATOR)
        asked = read_as(HostRequest, self.kernel.settings.max_body_bytes)
        found = change(self.kernel, asked.host, by_request(self.kernel, who))
        return self._success({"host": asked.host, "processes": found})

    def _success(self, data: dict[str, Any]) -> Response:
        language = self.kernel.settings.language
        return json_response(200, envelope(0, text("success", language), data))
