"""The operations of `/v1/errors` and `/v1/notifications`, and the shapes of their answers."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from kernel.views.openapi.answers import CLOSED, Id, Moment
from kernel.views.openapi.lists import parameters
from kernel.views.openapi.parts import BODY, DONE, answer, change, content, operation, path_id, ref
from kernel.views.operating.errors import ErrorsQuery

ExceptionText = Annotated[
    str | None, Field(description="what may quote a handler's data: null for viewers")
]


@CLOSED
class FailureCount(TypedDict):
    """How many failures there were in an hour or a day of UTC."""

    began_at: Moment
    count: int


@CLOSED
class FailedRun(TypedDict):
    """A run that failed, or the end of an order of which nothing ran."""

    order_id: Id
    reference: str | None
    run: int
    began_at: Moment | None
    ended_at: Moment
    process: str | None
    how: str
    reason: str | None
    error_code: str | None
    error_type: str | None
    place: str | None
    message: ExceptionText
    traceback: ExceptionText


@CLOSED
class ErrorSummary(TypedDict):
    """Failures of one kind: tag, exception type and place; without an exception, tag and code."""

    fingerprint: str
    select_tag: str
    error_type: str | None
    place: Annotated[str | None, Field(description="the handler's function that raised it")]
    error_code: str | None
    refusal: Annotated[bool, Field(description="wanted so: Reject, or a window that is over")]
    state: Literal["open", "resolved"]
    count: int
    count_24h: int
    first_seen: Moment
    last_seen: Moment
    new_since: Annotated[Moment, Field(description="first seen, or back after it was resolved")]
    came_back: bool
    resolved_at: Moment | None
    resolved_by: str | None
    resolved_because: str | None
    order_id: Annotated[Id, Field(description="of the latest failure; it may be pruned")]
    message: Annotated[
        str | None,
        Field(description="of the latest failure; for viewers without the text of an exception"),
    ]


@CLOSED
class Errors(TypedDict):
    """Errors, the latest seen first."""

    errors: list[ErrorSummary]
    next_cursor: str | None


@CLOSED
class Error(ErrorSummary):
    """An error with its course and its latest failures; ``changed`` after a change."""

    hours: list[FailureCount]
    days: list[FailureCount]
    failures: list[FailedRun]
    changed: NotRequired[bool]


@CLOSED
class Notification(TypedDict):
    """A rule: conditions are told to a receiver of the caller `kernel-notify`."""

    name: str
    conditions: list[str] | Literal["all"]
    receiver: str
    origin: Annotated[str | None, Field(description="null: there is no such receiver yet")]
    recovers: bool


@CLOSED
class Notifications(TypedDict):
    """The rules by name."""

    rules: list[Notification]


@CLOSED
class NotificationRemoved(TypedDict):
    """The rule that was removed."""

    removed: str


@CLOSED
class NotificationTest(TypedDict):
    """The order whose callback is the notification."""

    order_id: Id


FAILURE_ANSWERS: tuple[Any, ...] = (
    *(Errors, Error, Notification, Notifications, NotificationRemoved, NotificationTest),
)


def failure_operations() -> dict[str, Any]:
    """Return the paths, with their methods."""
    return _errors() | _notifications()


def _errors() -> dict[str, Any]:
    one, it = [path_id("fingerprint")], {200: answer("it", DONE, "Error")}
    changed = {200: answer("it, and whether it has changed", DONE, "Error")}
    return {
        "/v1/errors": {
            "get": operation(
                *("listErrors", "List failures by their kind (viewer)"),
                {200: answer("the latest seen first", DONE, "Errors")},
                (422,),
                parameters=parameters(ErrorsQuery),
            )
        },
        "/v1/errors/{fingerprint}": {
            "get": operation(
                "showError", "Show failures of one kind (viewer)", it, (404,), parameters=one
            )
        },
        "/v1/errors/{fingerprint}/resolve": {
            "post": change(
                *("resolveError", "Call it mended until it comes again (operator)", changed),
                (404,),
                parameters=one,
            )
        },
        "/v1/errors/{fingerprint}/reopen": {
            "post": change(
                *("reopenError", "Open it again (operator)", changed, (404,)), parameters=one
            )
        },
    }


def _notifications() -> dict[str, Any]:
    one = [path_id("name")]
    return {
        "/v1/notifications": {
            "get": operation(
                *("listNotifications", "List who is told what is wrong (viewer)"),
                {200: answer("the rules by name", DONE, "Notifications")},
            ),
            "post": change(
                *("addNotification", "Have conditions told to a receiver (operator)"),
                {201: answer("made", DONE, "Notification")},
                (*BODY, 404, 409),
                requestBody={"required": True, "content": content(ref("NewNotice"))},
            ),
        },
        "/v1/notifications/{name}": {
            "delete": change(
                *("removeNotification", "Remove a rule (operator)"),
                {200: answer("removed; what was sent stays", DONE, "NotificationRemoved")},
                (404,),
                parameters=one,
            )
        },
        "/v1/notifications/{name}/test": {
            "post": change(
                *("testNotification", "Send a notification of nothing (operator)"),
                {202: answer("sent as an order", DONE, "NotificationTest")},
                (404,),
                parameters=one,
            )
        },
    }
