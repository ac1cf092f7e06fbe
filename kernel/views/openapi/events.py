"""Events in the API document: their paths, and the shapes of what is answered."""

from typing import Any

from typing_extensions import TypedDict

from kernel.views.openapi.answers import CLOSED, Id, Moment
from kernel.views.openapi.parts import BODY, DONE, answer, change, content, operation, path_id, ref


@CLOSED
class Event(TypedDict):
    """Something that an order was told. The data are a stranger's."""

    name: str
    data: dict[str, Any]
    told_by: str
    told_at: Moment


@CLOSED
class Told(Event):
    """An event that is stored; the order goes on if it waits for that."""

    order_id: Id


@CLOSED
class Events(TypedDict):
    """What an order was told, in the order of telling."""

    events: list[Event]


EVENT_ANSWERS = (Told, Events)


def event_operations(key: dict[str, Any]) -> dict[str, Any]:
    """Return the paths of events; ``key``: the header that makes telling one again a repeat."""
    return {
        "/v1/orders/{order_id}/events": {
            "post": change(
                *("tellEvent", "Tell an order an event, such as an approval"),
                {202: answer("stored", DONE, "Told", Idempotency_Replayed="string")},
                (*BODY, 404, 409),
                parameters=[path_id("order_id"), key],
                requestBody={"required": True, "content": content(ref("EventRequest"))},
            ),
            "get": operation(
                *("listEvents", "Show what an order was told"),
                {200: answer("its events", DONE, "Events")},
                (404,),
                parameters=[path_id("order_id")],
            ),
        },
    }
