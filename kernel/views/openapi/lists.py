"""Lists by filter in the API document: their parameters, their paths, and what they answer."""

from typing import Any

from pydantic import BaseModel
from typing_extensions import TypedDict

from kernel.db.states import DeliveryState
from kernel.insight.search.tables import TYPES
from kernel.views.openapi.answers import CLOSED, Delivery, Id, OrderSummary, Reference
from kernel.views.openapi.parts import DONE, SCHEMAS, answer, operation
from kernel.views.orders.queries import (
    CallbackExport,
    CallbackListQuery,
    CallbackQuery,
    OrderExport,
    OrderQuery,
)

TEMPLATE = SCHEMAS + "{model}"


@CLOSED
class ListedOrder(OrderSummary):
    """An order in a list, with the state of its callback; null: none is owed yet, or at all."""

    callback: DeliveryState | None


@CLOSED
class Orders(TypedDict):
    """A page of orders, newest first. It may be short, or empty, and still have a next one."""

    orders: list[ListedOrder]
    next_cursor: Id | None


@CLOSED
class ListedCallback(Delivery):
    """A callback in a list."""

    order_id: Id
    reference: Reference | None
    origin: str


@CLOSED
class Callbacks(TypedDict):
    """A page of callbacks, newest first. It may be short, or empty, and still have a next one."""

    deliveries: list[ListedCallback]
    next_cursor: str | None


@CLOSED
class Group(TypedDict):
    """How many have this value; null: none."""

    value: str | None
    count: int


@CLOSED
class Counts(TypedDict):
    """How many a filter holds. Not complete: counting took too long, there may be more."""

    total: int
    complete: bool
    by_error: list[Group]
    by_tag: list[Group]
    by_caller: list[Group]
    by_receiver: list[Group]


LIST_ANSWERS = (Orders, Callbacks, Counts)


def parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    """Return the parameters that a model reads. A query has no null."""
    schema = query.model_json_schema(ref_template=TEMPLATE)
    return [_parameter(name, _without_null(one)) for name, one in schema["properties"].items()]


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe one parameter of a query; a list stands in it once, with commas."""
    listed = {"style": "form", "explode": False} if schema.get("type") == "array" else {}
    return {"name": name, "in": "query", **listed, "schema": schema}


def _without_null(member: dict[str, Any]) -> dict[str, Any]:
    kinds = [one for one in member.get("anyOf", ()) if one != {"type": "null"}]
    if len(kinds) != 1:
        return {name: one for name, one in member.items() if name != "title"}
    said = {name: member[name] for name in ("description",) if name in member}
    return {**kinds[0], **said}


def order_lists() -> dict[str, Any]:
    """Return the paths of counts and exports of orders."""
    return {
        "/v1/orders/counts": _counts("countOrders", "orders", OrderQuery),
        "/v1/orders/export": _export("exportOrders", "orders", OrderExport),
    }


def callback_lists() -> dict[str, Any]:
    """Return the paths of lists, counts and exports of callbacks."""
    found = {200: answer("a page", DONE, "Callbacks")}
    listed = operation(
        *("listCallbacks", "List callbacks, newest first", found, (422,)),
        parameters=parameters(CallbackListQuery),
    )
    return {
        "/v1/deliveries": {"get": listed},
        "/v1/deliveries/counts": _counts("countCallbacks", "callbacks", CallbackQuery),
        "/v1/deliveries/export": _export("exportCallbacks", "callbacks", CallbackExport),
    }


def _counts(name: str, what: str, query: type[BaseModel]) -> dict[str, Any]:
    found = {200: answer("how many", DONE, "Counts")}
    said = f"Count {what} by error, tag, caller and receiver, as a viewer"
    return {"get": operation(name, said, found, (422,), parameters=parameters(query))}


def _export(name: str, what: str, query: type[BaseModel]) -> dict[str, Any]:
    row = {"type": "object"}
    kinds = {
        TYPES["csv"]: {"schema": {"type": "string"}},
        TYPES["json"]: {"schema": {"type": "array", "items": row}},
    }
    found = {200: {"description": "all of them, the newest first", "content": kinds}}
    said = f"Get all {what} as CSV or JSON, as a viewer"
    return {"get": operation(name, said, found, (422,), parameters=parameters(query))}
