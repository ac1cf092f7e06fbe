"""The API document: OpenAPI 3.1, made from the registered handlers' models. It grows with them.

``callbacks`` says what arrives at an order's callback_url, ``webhooks`` says the same for tools
that read only those.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import models_json_schema

from kernel.formats.envelope import encode
from kernel.formats.order_request import MAX_WORD
from kernel.handlers import Handler
from kernel.views.api import ListQuery
from kernel.views.openapi.answers import ANSWERS
from kernel.views.openapi.examples import example
from kernel.views.openapi.operations import SCHEMAS, content, operations, outcome_post, responses
from kernel.views.pauses import PauseRequest, ReplayRequest

CALLBACK = "https://tickets.example.com/kernel"
TEMPLATE = SCHEMAS + "{model}"


def document(handlers: Mapping[str, Handler], server: str = "/") -> dict[str, Any]:
    """Return the API document for ``handlers``, served below ``server``."""
    orders, schemas = _order_schemas(handlers)
    schemas |= _answer_schemas() | _request_schemas()
    body = content(_any_order(orders), examples=dict(_examples(handlers, orders, schemas)))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kernel",
            "summary": "Work orders in, signed callbacks out",
            "version": version("kernel-workorders"),
        },
        "servers": [{"url": server}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": operations(_query(), body),
        "webhooks": {"orderFinished": outcome_post()},
        "components": {
            "schemas": schemas,
            "responses": responses(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "key as password"},
            },
        },
    }


def _order_schemas(
    handlers: Mapping[str, Handler],
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return each tag's order, and the schemas these refer to."""
    models: list[type[BaseModel]] = list(dict.fromkeys(one.model for one in handlers.values()))
    named, found = models_json_schema(
        [(one, "validation") for one in models], ref_template=TEMPLATE
    )
    defs: dict[str, Any] = found.get("$defs", {})
    orders = {
        tag: _order(handler, defs[named[handler.model, "validation"]["$ref"].rpartition("/")[2]])
        for tag, handler in handlers.items()
    }
    return orders, defs


def _order(handler: Handler, model: Mapping[str, Any]) -> dict[str, Any]:
    """The handler's model with the two members that every order has."""
    url = {"type": "string", "format": "uri", "maxLength": MAX_WORD}
    own = {"select_tag": {"const": handler.tag, "type": "string"}, "callback_url": url}
    order = {
        **model,
        "title": handler.tag,
        "properties": {**own, **model.get("properties", {})},
        "required": [*own, *model.get("required", ())],
    }
    if "extra" not in handler.model.model_config:
        order["additionalProperties"] = False
    return order


def _any_order(orders: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The submit's body; a document without handlers is valid, too."""
    return {"oneOf": list(orders.values())} if orders else {"type": "object"}


def _examples(
    handlers: Mapping[str, Handler], orders: Mapping[str, dict[str, Any]], defs: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield an example per tag, where one can be made that its model accepts."""
    for tag, order in orders.items():
        made = example({**order, "examples": []}, defs) | {"callback_url": CALLBACK}
        own = {
            name: value for name, value in made.items() if name in ("select_tag", "callback_url")
        }
        for given in (*order.get("examples", ()), made):
            args = {name: value for name, value in given.items() if name not in own}
            if _accepts(handlers[tag], args):
                yield tag, {"summary": order.get("description", tag), "value": own | args}
                break


def _accepts(handler: Handler, args: dict[str, Any]) -> bool:
    try:
        handler.parse(encode(args).decode())
    except ValidationError:
        return False
    return True


def _answer_schemas() -> dict[str, Any]:
    wanted = [(one.__name__, "serialization", TypeAdapter(one)) for one in ANSWERS]
    _, found = TypeAdapter.json_schemas(wanted, ref_template=TEMPLATE)  # type: ignore[arg-type]
    defs: dict[str, Any] = found["$defs"]
    return defs


def _request_schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [ReplayRequest, PauseRequest]
    _, found = models_json_schema([(one, "validation") for one in models], ref_template=TEMPLATE)
    defs: dict[str, Any] = found["$defs"]
    return defs


def _query() -> list[dict[str, Any]]:
    """The list's filters, from the model that reads them. A query has no null."""
    schema = ListQuery.model_json_schema(ref_template=TEMPLATE)
    return [
        {"name": name, "in": "query", "schema": _without_null(member)}
        for name, member in schema["properties"].items()
    ]


def _without_null(member: dict[str, Any]) -> dict[str, Any]:
    kinds = [one for one in member.get("anyOf", ()) if one != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {k: v for k, v in member.items() if k != "title"}
