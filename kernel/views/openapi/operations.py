"""The operations of the API document: every route, what it takes and what it answers."""

from typing import Any

from kernel.formats.callback_headers import CALLBACK_HEADERS

SCHEMAS = "#/components/schemas/"
RESPONSES = "#/components/responses/"
UNSIGNED: list[dict[str, list[str]]] = []
PENDING, DONE, ANY = [2], [0], [0, 1, 2, -1]

# Status code, name, what it means; with a header where one is always sent.
REFUSALS = {
    400: ("BadRequest", "not valid HTTP, or not one strict JSON object", None),
    401: ("Unauthenticated", "credentials are missing or wrong", "WWW-Authenticate"),
    403: ("Forbidden", "this key does not have the scope that is needed", None),
    404: ("NotFound", "no such thing, or another caller's", None),
    409: ("Conflict", "its state does not allow that", None),
    413: ("BodyTooLarge", "the body is too large", None),
    415: ("NotJson", "the content type is not application/json", None),
    422: ("Invalid", "members are missing, unknown or wrong; all of them are listed", None),
    429: ("TooManyRequests", "slow down", "Retry-After"),
    503: ("Unavailable", "not now; try again", "Retry-After"),
}
ALWAYS = (400, 401, 403, 429, 503)
BODY = (413, 415, 422)


def ref(name: str) -> dict[str, str]:
    """Refer to a schema of the document."""
    return {"$ref": SCHEMAS + name}


def envelope(statuses: list[int], data: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer: status, msg, data."""
    return {
        "type": "object",
        "properties": {"status": {"enum": statuses}, "msg": {"type": "string"}, "data": data},
        "required": ["status", "msg", "data"],
        "additionalProperties": False,
    }


def content(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A body of JSON."""
    return {"application/json": {"schema": schema, **more}}


def responses() -> dict[str, Any]:
    """The refusals, which all operations share."""
    return {
        name: {
            "description": text,
            "content": content(envelope([-1], ref("Refused"))),
            **({"headers": {header: _header("string")}} if header else {}),
        }
        for name, text, header in REFUSALS.values()
    }


def _header(kind: str) -> dict[str, Any]:
    return {"required": True, "schema": {"type": kind}}


def _answer(text: str, statuses: list[int], *names: str, **headers: str) -> dict[str, Any]:
    data = ref(names[0]) if len(names) == 1 else {"anyOf": [ref(name) for name in names]}
    answer = {"description": text, "content": content(envelope(statuses, data))}
    if headers:
        answer["headers"] = {
            name.replace("_", "-"): {"schema": {"type": kind}} for name, kind in headers.items()
        }
    return answer


def _operation(
    name: str, summary: str, answers: dict[int, Any], refused: tuple[int, ...] = (), **more: Any
) -> dict[str, Any]:
    """An operation that needs a key, and the refusals it can meet."""
    all_of_them = {str(status): answer for status, answer in answers.items()}
    for status in sorted({*ALWAYS, *refused}):
        all_of_them[str(status)] = {"$ref": RESPONSES + REFUSALS[status][0]}
    return {"operationId": name, "summary": summary, **more, "responses": all_of_them}


def _id(name: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": kind}}


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "the same key and order again answer with the first order",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    },
}


def operations(query: list[dict[str, Any]], order: dict[str, Any]) -> dict[str, Any]:
    """Return the paths. ``query``: the parameters of the list; ``order``: the submit's body."""
    groups = {
        "orders": _orders(query, order),
        "deliveries": _deliveries() | _pauses(),
        "the original's addresses": _original(order),
        "the service": _own(),
    }
    return {
        path: {method: operation | {"tags": [tag]} for method, operation in operations.items()}
        for tag, paths in groups.items()
        for path, operations in paths.items()
    }


def _orders(query: list[dict[str, Any]], order: dict[str, Any]) -> dict[str, Any]:
    one = [_id("order_id")]
    place = {"Location": "string", "Retry_After": "string", "Idempotency_Replayed": "string"}
    submitted = {
        202: _answer("stored, and not finished", PENDING, "Accepted", "Order", **place),
        200: _answer("a repeat of an order that has finished", [0, 1, -1], "Order", **place),
    }
    seen = {
        200: _answer("it has ended", [0, 1, -1], "Order"),
        202: _answer("it is unfinished", PENDING, "Order", Retry_After="string"),
    }
    body = {"required": True, "content": order}
    return {
        "/v1/orders": {
            "post": _operation(
                *("submitOrder", "Submit an order", submitted, BODY),
                parameters=[IDEMPOTENCY_KEY],
                requestBody=body,
                callbacks={"finished": {"{$request.body#/callback_url}": outcome_post()}},
            ),
            "get": _operation(
                *("listOrders", "List orders, newest first"),
                {200: _answer("a page", DONE, "Orders")},
                (422,),
                parameters=query,
            ),
        },
        "/v1/orders/{order_id}": {
            "get": _operation("showOrder", "Show an order", seen, (404,), parameters=one)
        },
        "/v1/orders/{order_id}/cancel": {
            "post": _operation("cancelOrder", "Cancel an order", seen, (404, 409), parameters=one)
        },
        "/v1/orders/{order_id}/deliveries": {
            "get": _operation(
                *("listDeliveries", "Show the callbacks of an order, with every attempt"),
                {200: _answer("its deliveries", DONE, "Deliveries")},
                (404,),
                parameters=one,
            )
        },
    }


def _deliveries() -> dict[str, Any]:
    counted = {
        200: _answer("counted only", DONE, "Replayed"),
        202: _answer("made due", DONE, "Replayed"),
    }
    return {
        "/v1/deliveries/{delivery_id}/redeliver": {
            "post": _operation(
                *("redeliver", "Send a callback again"),
                {202: _answer("due now, unless an attempt is in flight", DONE, "Redelivered")},
                (404, 409),
                parameters=[_id("delivery_id")],
            )
        },
        "/v1/deliveries/replay": {
            "post": _operation(
                *("replay", "Send many callbacks again", counted, BODY),
                requestBody={"required": True, "content": content(ref("ReplayRequest"))},
            )
        },
    }


def _pauses() -> dict[str, Any]:
    return {
        "/v1/pauses": {
            "get": _operation(
                "listPauses", "List pauses (operator)", {200: _answer("all", DONE, "Pauses")}
            ),
            "post": _operation(
                *("pause", "Hold what is owed to a host or for a caller (operator)"),
                {201: _answer("held", DONE, "Held")},
                (*BODY, 404),
                requestBody={"required": True, "content": content(ref("PauseRequest"))},
            ),
        },
        "/v1/pauses/{pause_id}": {
            "delete": _operation(
                *("resume", "Let go what a pause holds (operator)"),
                {200: _answer("released", DONE, "Released")},
                (404,),
                parameters=[_id("pause_id")],
            )
        },
    }


def _original(order: dict[str, Any]) -> dict[str, Any]:
    """The original system's addresses: HTTP 200, the envelope's status tells."""
    told = {
        200: {
            "description": "status 2: stored; -1: refused",
            "content": content(envelope(ANY, {"type": "object"})),
        }
    }
    echoed = {200: {"description": "what was sent", "content": content(envelope(DONE, {}))}}
    body = {"required": True, "content": order}
    return {
        "/test/add/": {
            "post": _operation("add", "Submit, as in the original system", told, requestBody=body)
        },
        "/test/callback/": {
            "get": _operation("seeCallback", "Log and echo the query", echoed),
            "post": _operation("takeCallback", "Log and echo the body", echoed, (413,)),
        },
    }


def _own() -> dict[str, Any]:
    ok = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}
    alive = {"200": {"description": "it does", "content": content(ok)}}
    words = {
        "status": {"enum": ["ok", "degraded", "failed"]},
        "checks": {"type": "object", "additionalProperties": {"enum": ["ok", "failed"]}},
    }
    checks = content({"type": "object", "properties": words, "required": list(words)})
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
    seen["get"]["parameters"] = [_id("token")]
    return {
        "/o/{token}": seen,
        "/openapi.json": {"get": _operation("showDocument", "This document", this)},
        "/healthz": _unsigned("healthz", "Does this process answer?", alive),
        "/readyz": _unsigned("readyz", "Could it do its work?", ready),
        "/metrics": {"get": _operation("showMetrics", "Counts and backlog", {200: counts})},
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
