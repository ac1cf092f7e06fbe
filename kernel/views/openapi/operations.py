"""The operations of the API document: every route, what it takes and what it answers."""

from typing import Any

from kernel.formats.callback_headers import CALLBACK_HEADERS
from kernel.views.http.long_polls import MAX_WAIT
from kernel.views.openapi.bulk import bulk_operations
from kernel.views.openapi.events import event_operations
from kernel.views.openapi.lists import callback_lists, order_lists
from kernel.views.openapi.operating.failures import failure_operations
from kernel.views.openapi.operating.trends import trend_operations
from kernel.views.openapi.parts import (
    ANY,
    BODY,
    DONE,
    PENDING,
    UNSIGNED,
    answer,
    change,
    content,
    envelope,
    operation,
    path_id,
    ref,
)
from kernel.views.openapi.receivers import receiver_operations
from kernel.views.openapi.workers import worker_operations


def _visible(name: str, description: str) -> dict[str, Any]:
    """A header of visible ASCII; our own reading of X-Reference takes UTF-8, too."""
    text = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"}
    return {"name": name, "in": "header", "description": description, "schema": text}


REFERENCE = _visible("X-Reference", "the order's reference, where the body has none; or empty")
REFERENCE["schema"] |= {"minLength": 0, "pattern": "^([!-~]([ -~]*[!-~])?)?$"}
CURRENT_SHAPE = {
    "name": "with_current_shape",
    "in": "query",
    "description": "send it as its receiver's shape is now: other bytes, the same id",
    "schema": {"type": "boolean", "default": False},
}
WAIT = {
    "name": "wait",
    "in": "query",
    "description": "hold the answer back until the order has ended, or for this many seconds",
    "schema": {"type": "integer", "minimum": 0, "maximum": MAX_WAIT, "default": 0},
}
IDEMPOTENCY_KEY = _visible(
    "Idempotency-Key", "the same key and order again answer with the first order"
)


REPEAT = {"Retry_After": "string", "Idempotency_Replayed": "string"}


def operations(query: list[dict[str, Any]], order: dict[str, Any]) -> dict[str, Any]:
    """Return the paths. ``query``: the parameters of the list; ``order``: the submit's body."""
    groups = {
        "orders": _orders(query, order)
        | order_lists()
        | _batches()
        | event_operations(IDEMPOTENCY_KEY),
        "deliveries": callback_lists() | _deliveries() | _pauses(),
        "bulk acts": bulk_operations(),
        "receivers": receiver_operations(),
        "trends": trend_operations(),
        "workers": worker_operations(),
        "errors": failure_operations(),
        "the original's addresses": _original(order),
        "the service": _own(),
    }
    return {
        path: {method: one | {"tags": [tag]} for method, one in found.items()}
        for tag, paths in groups.items()
        for path, found in paths.items()
    }


def _orders(query: list[dict[str, Any]], order: dict[str, Any]) -> dict[str, Any]:
    one = [path_id("order_id")]
    place = {"Location": "string"} | REPEAT
    submitted = {
        202: answer("stored, and not finished", PENDING, "Accepted", "Order", **place),
        200: answer("a repeat of an order that has finished", [0, 1, -1], "Order", **place),
    }
    seen = {
        200: answer("it has ended", [0, 1, -1], "Order"),
        202: answer("it is unfinished", PENDING, "Order", Retry_After="string"),
    }
    body = {"required": True, "content": order}
    return {
        "/v1/orders": {
            "post": operation(
                *("submitOrder", "Submit an order", submitted, BODY),
                parameters=[IDEMPOTENCY_KEY, REFERENCE],
                requestBody=body,
                callbacks={"finished": {"{$request.body#/callback_url}": outcome_post()}},
            ),
            "get": operation(
                *("listOrders", "List orders, newest first"),
                {200: answer("a page", DONE, "Orders")},
                (422,),
                parameters=query,
            ),
        },
        "/v1/orders/{order_id}": {
            "get": operation(
                *("showOrder", "Show an order", seen, (404, 422)), parameters=[*one, WAIT]
            )
        },
        "/v1/orders/{order_id}/cancel": {
            "post": change("cancelOrder", "Cancel an order", seen, (404, 409), parameters=one)
        },
        "/v1/orders/{order_id}/deliveries": {
            "get": operation(
                *("listDeliveries", "Show the callbacks of an order, with every attempt"),
                {200: answer("its deliveries", DONE, "Deliveries")},
                (404,),
                parameters=one,
            )
        },
    }


def _batches() -> dict[str, Any]:
    return {
        "/v1/orders/batch": {
            "post": operation(
                *("submitBatch", "Submit many orders in one commit"),
                {202: answer("what became of each", PENDING, "Batch", **REPEAT)},
                BODY,
                parameters=[IDEMPOTENCY_KEY],
                requestBody={"required": True, "content": content(ref("BatchRequest"))},
            )
        },
    }


def _deliveries() -> dict[str, Any]:
    counted = {
        200: answer("counted only", DONE, "Replayed"),
        202: answer("made due", DONE, "Replayed"),
    }
    return {
        "/v1/deliveries/{delivery_id}/redeliver": {
            "post": change(
                *("redeliver", "Send a callback again"),
                {202: answer("due now, unless an attempt is in flight", DONE, "Redelivered")},
                (404, 422),
                parameters=[path_id("delivery_id"), CURRENT_SHAPE],
            )
        },
        "/v1/deliveries/replay": {
            "post": change(
                *("replay", "Send many callbacks again", counted, (*BODY, 409)),
                requestBody={"required": True, "content": content(ref("ReplayRequest"))},
            )
        },
    }


def _pauses() -> dict[str, Any]:
    return {
        "/v1/pauses": {
            "get": operation(
                "listPauses", "List pauses (operator)", {200: answer("all", DONE, "Pauses")}
            ),
            "post": change(
                *("pause", "Hold callbacks or orders, until an end or until resumed (operator)"),
                {201: answer("held", DONE, "Held")},
                (*BODY, 404),
                requestBody={"required": True, "content": content(ref("PauseRequest"))},
            ),
        },
        "/v1/pauses/{pause_id}": {
            "delete": change(
                *("resume", "Let go what a pause holds (operator)"),
                {200: answer("released", DONE, "Released")},
                (404, 409),
                parameters=[path_id("pause_id")],
            )
        },
    }


def _original(order: dict[str, Any]) -> dict[str, Any]:
    """The original system's addresses: HTTP 200, the envelope's status tells."""
    told = {
        200: {
            "description": "status 2: stored; -1: refused",
            "content": content(envelope(ANY, {"type": "object"})),
            "headers": {"X-Order-Id": {"schema": {"type": "string"}}},
        }
    }
    bytes_: dict[str, Any] = {"schema": {}}
    kinds = {"application/json": bytes_, "application/octet-stream": bytes_}
    echoed = {200: {"description": "the bytes that were sent", "content": kinds}}
    body = {"required": True, "content": order}
    return {
        "/test/add/": {
            "post": operation(
                *("add", "Submit, as in the original system", told),
                parameters=[IDEMPOTENCY_KEY, REFERENCE],
                requestBody=body,
            )
        },
        "/test/callback/": {
            "get": operation("seeCallback", "Log and echo the query", echoed),
            "post": operation("takeCallback", "Log and echo the body", echoed, (413,)),
        },
    }


def _own() -> dict[str, Any]:
    status = {"status": {"const": "ok"}}
    ok = {"title": "Alive", "type": "object", "properties": status, "required": ["status"]}
    alive = {"200": {"description": "it does", "content": content(ok)}}
    words = {
        "status": {"enum": ["ok", "degraded", "failed"]},
        "checks": {"type": "object", "additionalProperties": {"enum": ["ok", "failed"]}},
    }
    ready_or_not = {"title": "Ready", "type": "object", "properties": words}
    checks = content(ready_or_not | {"required": list(words)})
    ready = {
        "200": {"description": "orders are accepted; degraded: done later", "content": checks},
        "503": {"description": "no order can be accepted now", "content": checks},
    }
    counts = {
        "description": "Prometheus' text format",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
    this = {200: {"description": "this document", "content": content({"type": "object"})}}
    html = {"text/html": {"schema": {"type": "string"}}}
    page = {
        "200": {"description": "how far the order is, and what it came to", "content": html},
        "404": {"description": "this link leads nowhere, or no more", "content": html},
        "503": {"description": "not now; the page tries again", "content": html},
    }
    seen = _unsigned("showPage", "The page for the person who ordered", page)
    seen["get"]["parameters"] = [path_id("token")]
    return {
        "/o/{token}": seen,
        "/openapi.json": {"get": operation("showDocument", "This document", this)},
        "/healthz": _unsigned("healthz", "Does this process answer?", alive),
        "/readyz": _unsigned("readyz", "Could it do its work?", ready),
        "/metrics": {
            "get": operation("showMetrics", "Counts and backlog (scope metrics)", {200: counts})
        },
    }


def _unsigned(name: str, summary: str, answers: dict[str, Any]) -> dict[str, Any]:
    one = {"operationId": name, "summary": summary, "security": UNSIGNED, "responses": answers}
    return {"get": one}


def outcome_post() -> dict[str, Any]:
    """The callback: what is POSTed when an order has ended."""
    headers = [
        {"name": row.name, "in": "header", "required": row.always, "schema": {"type": "string"}}
        for row in CALLBACK_HEADERS
        if row.name != "content-type"  # the requestBody's to say
    ]
    return {
        "post": {
            "summary": "An order has ended",
            "description": "At least once, signed by Standard Webhooks 1.0. Drop a webhook-id "
            "that you have seen.",
            "security": UNSIGNED,
            "parameters": headers,
            "requestBody": {
                "required": True,
                "content": content(envelope([0, 1, -1], ref("Outcome"))),
            },
            "responses": {
                "2XX": {"description": "taken; anything else is tried again"},
                "410": {"description": "never again"},
            },
        }
    }
