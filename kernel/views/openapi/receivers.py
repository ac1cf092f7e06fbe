"""The operations of `/v1/receivers`."""

from typing import Any

from kernel.views.openapi.parts import BODY, DONE, answer, change, content, operation, path_id, ref


def receiver_operations() -> dict[str, Any]:
    """Return the paths, with their methods."""
    place = [path_id("caller"), path_id("name")]
    one = {200: answer("it", DONE, "Receiver")}
    return {
        "/v1/receivers": {
            "get": operation(
                *("listReceivers", "List the receivers of every caller (operator)"),
                {200: answer("all", DONE, "Receivers")},
            ),
            "post": change(
                *("addReceiver", "Add a receiver of a caller (operator)"),
                {201: answer("made", DONE, "Receiver")},
                (*BODY, 404, 409),
                requestBody=_body("NewReceiver"),
            ),
        },
        "/v1/receivers/{caller}/{name}": {
            "get": operation(
                *("showReceiver", "Show a receiver (operator)", one, (404,)), parameters=place
            ),
            "patch": change(
                *("changeReceiver", "Change a receiver (operator)", one, (*BODY, 404)),
                parameters=place,
                requestBody=_body("ReceiverChange"),
            ),
            "delete": change(
                *("removeReceiver", "Remove a receiver with its secrets (operator)"),
                {200: answer("removed; held callbacks that are due", DONE, "Released")},
                (404,),
                parameters=place,
            ),
        },
    }


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": content(ref(name))}
