"""The API document: OpenAPI 3.1, made from the registered handlers' models. It grows with them.

``callbacks`` says what arrives at an order's callback_url, ``webhooks`` says the same for tools
that read only those.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import models_json_schema

from kernel.db.states import PRIORITIES
from kernel.formats.envelope import encode
from kernel.formats.order_request import MAX_WORD
from kernel.formats.reference import MAX_REFERENCE, PATTERN
from kernel.handlers import Handler
from kernel.orders.batches.read import BatchRequest
from kernel.views.openapi.answers import ANSWERS
from kernel.views.openapi.batches import Batch
from kernel.views.openapi.bulk import BULK_ANSWERS
from kernel.views.openapi.events import EVENT_ANSWERS
from kernel.views.openapi.examples import example
from kernel.views.openapi.lists import LIST_ANSWERS, parameters
from kernel.views.openapi.operating.failures import FAILURE_ANSWERS
from kernel.views.openapi.operating.trends import TREND_ANSWERS
from kernel.views.openapi.operations import operations, outcome_post
from kernel.views.openapi.parts import SCHEMAS, content, responses
from kernel.views.openapi.workers import WORKER_ANSWERS
from kernel.views.operating.notices import NewNotice
from kernel.views.operating.workers import HostRequest
from kernel.views.orders.bulk import BulkRequest, ReplayRequest
from kernel.views.orders.events import EventRequest
from kernel.views.orders.queries import ListQuery
from kernel.views.pauses import PauseRequest
from kernel.views.receivers import NewReceiver, ReceiverChange

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
        "paths": operations(parameters(ListQuery), body),
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
        order["additionalProperties"] = False
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


def _any_order(orders: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The submit's body; a document without handlers is valid, too."""
    return {"oneOf": list(orders.values())} if orders else {"type": "object"}


def _examples(
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


def _answer_schemas() -> dict[str, Any]:
    lists = (*LIST_ANSWERS, *TREND_ANSWERS, *WORKER_ANSWERS, *FAILURE_ANSWERS)
    every = (*ANSWERS, *BULK_ANSWERS, *EVENT_ANSWERS, *lists, Batch)
    wanted = [(one.__name__, "serialization", TypeAdapter(one)) for one in every]
    _, found = TypeAdapter.json_schemas(wanted, ref_template=TEMPLATE)  # type: ignore[arg-type]
    defs: dict[str, Any] = found["$defs"]
    return defs


def _request_schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [
        *(
            BatchRequest,
            BulkRequest,
            EventRequest,
            HostRequest,
            ReplayRequest,
            PauseRequest,
            NewNotice,
            NewReceiver,
            ReceiverChange,
        )
    ]
    _, found = models_json_schema([(one, "validation") for one in models], ref_template=TEMPLATE)
    defs: dict[str, Any] = found["$defs"]
    return defs
