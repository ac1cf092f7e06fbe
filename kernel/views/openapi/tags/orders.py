"""The order of each select_tag: its model with the members that every order has, and an example."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from kernel.db.states import PRIORITIES
from kernel.formats.envelope import encode
from kernel.formats.order_request import MAX_WORD
from kernel.formats.reference import MAX_REFERENCE, PATTERN
from kernel.handlers import Handler
from kernel.views.openapi.parts import SCHEMAS, ref
from kernel.views.openapi.tags.examples import example
from kernel.views.openapi.tags.models import Models, Schema, free_name

CALLBACK = "https://tickets.example.com/kernel"
ANY_ORDER = "AnyOrder"


def orders_of(handlers: Mapping[str, Handler], models: Models) -> dict[str, Schema]:
    """Return the schema of each tag's order, by the tag."""
    return {
        tag: _order(handler, models.schemas[models.args[tag]]) for tag, handler in handlers.items()
    }


def named_orders(orders: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the orders as schemas of the document, and the one of an order of any tag."""
    names: dict[str, str] = {}
    for tag in orders:
        # A colon cannot stand in a schema's name.
        names[tag] = free_name("order." + tag.replace(":", "_"), names.values())
    if not orders:  # a document without handlers is valid, too
        return {ANY_ORDER: {"type": "object"}}
    one_of = {
        "oneOf": [ref(name) for name in names.values()],
        "discriminator": {
            "propertyName": "select_tag",
            "mapping": {tag: SCHEMAS + name for tag, name in names.items()},
        },
    }
    return {names[tag]: order for tag, order in orders.items()} | {ANY_ORDER: one_of}


def with_results(schema: Schema, models: Models) -> Schema:
    """Return the schema of what has a select_tag and a result, with the result of each tag."""
    if not models.results:
        return schema
    told = sorted({SCHEMAS + name for name in models.results.values()})
    either = {"anyOf": [*({"$ref": one} for one in told), schema["properties"]["result"]]}
    cases = [
        {
            "if": {"properties": {"select_tag": {"const": tag}}, "required": ["select_tag"]},
            "then": {"properties": {"result": ref(name)}},
        }
        for tag, name in models.results.items()
    ]
    properties = schema["properties"] | {"result": either}
    return schema | {"properties": properties, "allOf": cases}


def _order(handler: Handler, model: Mapping[str, Any]) -> dict[str, Any]:
    """The handler's model with the members that every order has."""
    said = "where the outcome is sent; null: nowhere, the caller polls"
    url = {"type": ["string", "null"], "format": "uri", "maxLength": MAX_WORD, "description": said}
    own = {"select_tag": {"const": handler.tag, "type": "string"}, "callback_url": url}
    optional = _optional(handler)
    order = {
        **model,
        "title": handler.tag,
        "properties": {**own, **optional, **model.get("properties", {})},
        "required": [*own, *model.get("required", ())],
    }
    if "extra" not in handler.model.model_config:
        order.setdefault("additionalProperties", False)
    return order


def _optional(handler: Handler) -> dict[str, Any]:
    """The members that an order may have, unless the handler's model reads them itself."""
    return _reference(handler) | _ordering_key(handler) | _window(handler) | _priority(handler)


def _reference(handler: Handler) -> dict[str, Any]:
    """The member that names an order, unless the handler's model reads it itself."""
    if handler.takes("reference"):
        return {}
    text = {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_REFERENCE}
    said = "the caller's own name for the order; not unique"
    return {
        "reference": {**text, "pattern": PATTERN, "description": said, "examples": ["INC0012345"]}
    }


def _ordering_key(handler: Handler) -> dict[str, Any]:
    """The member that has orders run one at a time, unless the handler's model reads it."""
    if handler.takes("ordering_key"):
        return {}
    text = {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_REFERENCE}
    said = "your orders with the same key run one at a time, in the order of their acceptance"
    return {
        "ordering_key": {
            **text,
            "pattern": PATTERN,
            "description": said,
            "examples": ["customer 4711"],
        }
    }


def _window(handler: Handler) -> dict[str, Any]:
    """The members that say when an order may begin, unless the handler's model reads them."""
    said = {"not_before": "no run begins before this time", "not_after": "no first run after it"}
    moment = {"type": ["string", "null"], "format": "date-time"}
    return {
        name: {**moment, "description": words}
        for name, words in said.items()
        if not handler.takes(name)
    }


def _priority(handler: Handler) -> dict[str, Any]:
    """The member that says whose turn it is, unless the handler's model reads it itself."""
    if handler.takes("priority"):
        return {}
    said = "how soon its turn comes among the orders of its caller; null: normal"
    return {"priority": {"enum": [*PRIORITIES, None], "description": said}}


def examples_of(
    handlers: Mapping[str, Handler], orders: Mapping[str, dict[str, Any]], defs: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield an example per tag, where one can be made that its model accepts."""
    for tag, order in orders.items():
        made = example({**order, "examples": []}, defs) | {"callback_url": CALLBACK}
        handler = handlers[tag]
        optional = (
            _reference(handler) | _ordering_key(handler) | _window(handler) | _priority(handler)
        )
        named = ("select_tag", "callback_url", *optional)
        own = {name: value for name, value in made.items() if name in named}
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
