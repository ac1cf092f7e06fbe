"""Bulk acts in the API document: their paths, and the shapes of what is answered."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from kernel.bulk.kinds import JobState, Kind
from kernel.views.openapi.answers import CLOSED, Id, Moment
from kernel.views.openapi.lists import Group
from kernel.views.openapi.parts import BODY, DONE, answer, change, content, operation, path_id, ref


@CLOSED
class LeftItem(TypedDict):
    """An order or a callback that was left as it was, and why."""

    id: Id
    code: str
    said: str | None


@CLOSED
class RerunItem(TypedDict):
    """An order that was run again, and as which."""

    order_id: Id
    rerun_as: Id


@CLOSED
class BulkSummary(TypedDict):
    """A bulk act, and how far it is."""

    bulk_id: Id
    kind: Kind
    state: JobState
    filter: dict[str, Any]
    again: bool
    with_current_shape: bool
    rate: int | None
    counted: int | None
    counted_all: bool
    done: int
    left: int
    last_error: str | None
    by: str
    via: Literal["page", "api", "cli", "system"]
    reason: str | None
    ended_by: str | None
    created_at: Moment
    finished_at: Moment | None


@CLOSED
class Bulk(BulkSummary):
    """A bulk act with some of what it has left and made; the counts when it begins."""

    left_because: dict[str, int]
    left_items: list[LeftItem]
    made: list[RerunItem]
    aborted: NotRequired[bool]
    total: NotRequired[int]
    complete: NotRequired[bool]
    by_error: NotRequired[list[Group]]
    by_tag: NotRequired[list[Group]]
    by_caller: NotRequired[list[Group]]
    by_receiver: NotRequired[list[Group]]


@CLOSED
class Bulks(TypedDict):
    """Bulk acts, the newest first."""

    bulk: list[BulkSummary]


BULK_ANSWERS = (Bulk, Bulks)


def bulk_operations() -> dict[str, Any]:
    """Return the paths, with their methods."""
    one = [path_id("bulk_id")]
    older = {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"}}
    return {
        "/v1/bulk": {
            "post": change(
                *("beginBulk", "Change many orders or callbacks (operator)"),
                {
                    200: answer("counted only", DONE, "Counts"),
                    202: answer("begun", DONE, "Bulk", Location="string"),
                },
                (*BODY, 409),
                requestBody={"required": True, "content": content(ref("BulkRequest"))},
            ),
            "get": operation(
                *("listBulk", "List bulk acts (viewer)"),
                {200: answer("the newest first", DONE, "Bulks")},
                (422,),
                parameters=[older],
            ),
        },
        "/v1/bulk/{bulk_id}": {
            "get": operation(
                *("showBulk", "Show a bulk act (viewer)"),
                {200: answer("it", DONE, "Bulk")},
                (404,),
                parameters=one,
            )
        },
        "/v1/bulk/{bulk_id}/abort": {
            "post": change(
                *("abortBulk", "End a bulk act where it is (operator)"),
                {200: answer("it, and whether it was under way", DONE, "Bulk")},
                (404,),
                parameters=one,
            )
        },
    }
