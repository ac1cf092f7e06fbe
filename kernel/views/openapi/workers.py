"""The operations of `/v1/workers`, and the shapes of their answers."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from kernel.insight.workers.hanging import Hangs
from kernel.insight.workers.shown import Doing
from kernel.views.openapi.answers import CLOSED, Id, Moment
from kernel.views.openapi.parts import BODY, DONE, answer, change, content, operation, path_id, ref


@CLOSED
class ProcessRun(TypedDict):
    """An order that a process runs; what an older release does not tell is null."""

    order_id: Id
    run: int | None
    select_tag: str | None
    since: Moment | None
    time_limit: Annotated[float | None, Field(description="seconds")]
    usual_p95: Annotated[
        float | None,
        Field(description="seconds within which 95 % of its tag's runs of a day ended"),
    ]
    hangs: Annotated[Hangs | None, Field(description="why it is taken to hang; null: it is not")]


@CLOSED
class WorkerProcess(TypedDict):
    """A process that runs handlers or sends callbacks; `version` null: of an older release."""

    process_id: str
    host: str
    pid: int
    kind: str
    version: str | None
    pool: str | None
    started_at: Moment
    seen_at: Moment
    doing: Doing
    asked: Literal["drain", "terminate"] | None
    asked_at: Moment | None
    runs: list[ProcessRun]


@CLOSED
class DrainedHost(TypedDict):
    """A host whose processes take nothing new."""

    host: str
    since: Moment
    by: str
    reason: str | None


@CLOSED
class Workers(TypedDict):
    """Every process seen in the last ten minutes, those that hang first; and drained hosts."""

    processes: list[WorkerProcess]
    drained: list[DrainedHost]


@CLOSED
class AskedHost(TypedDict):
    """A host, and how many processes it has. They follow with their next heartbeat."""

    host: str
    processes: int


@CLOSED
class AskedProcess(TypedDict):
    """A process, with host and number; it follows with its next heartbeat."""

    process_id: str
    process: str


WORKER_ANSWERS = (Workers, AskedHost, AskedProcess)


def worker_operations() -> dict[str, Any]:
    """Return the paths, with their methods."""
    body = {"required": True, "content": content(ref("HostRequest"))}
    asked = {200: answer("asked", DONE, "AskedHost")}
    return {
        "/v1/workers": {
            "get": operation(
                *("listWorkers", "What each process runs, and since when (operator)"),
                {200: answer("all", DONE, "Workers")},
                (422,),
            )
        },
        "/v1/workers/drain": {
            "post": change(
                *("drainHost", "Take nothing new on a host, until resumed (operator)", asked),
                (*BODY, 409),
                requestBody=body,
            )
        },
        "/v1/workers/resume": {
            "post": change(
                *("resumeHost", "Take work again on a drained host (operator)", asked),
                (*BODY, 404),
                requestBody=body,
            )
        },
        "/v1/workers/{process_id}/terminate": {
            "post": change(
                *("terminateProcess", "Hand back what a process runs, and end it (operator)"),
                {200: answer("asked", DONE, "AskedProcess")},
                (404, 409),
                parameters=[path_id("process_id")],
            )
        },
    }
