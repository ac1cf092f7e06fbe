"""What the API document says of each tag: models shared, parted by name, and the tags' results."""

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, BeforeValidator, Field, RootModel
from typing_extensions import TypedDict

from kernel.handlers import Handlers, Partial, Run
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.views.openapi.document import document
from tests.support.clients import Client, client
from tests.support.clients import handlers as plain

REF = "#/components/schemas/"


class Item(BaseModel):
    """Of the first module."""

    price: Decimal


class Bill(BaseModel):
    """A result, and an argument elsewhere."""

    items: list[Item]


class Tree(BaseModel):
    """A model that refers to itself."""

    below: list["Tree"] = []


class Said(TypedDict):
    """A result as a TypedDict."""

    said: str


def another(name: str, kind: Any) -> type[BaseModel]:
    """Return a model of this name, as another module may have it."""
    made: type[BaseModel] = type(name, (BaseModel,), {"__annotations__": {"other": kind}})
    made.__module__ = f"elsewhere.{name.lower()}"
    return made


OTHER_ITEM = another("Item", int)
# As one of the API's own answers is called.
OUR_NAME = another("Refused", OTHER_ITEM)


class Order(BaseModel):
    """An order's arguments, called as the API calls its answer."""

    bill: Bill
    name: str = Field("x", examples=["x"])


def work(run: Run, args: Any) -> Any:
    return {"items": [{"price": "1.10"}]}


@pytest.fixture
def handlers() -> Handlers:
    made = Handlers()
    made.register("buy", Order, result=Bill)(work)
    made.register("buy:again", Order, result=Bill)(lambda run, args: Partial({"items": []}, "some"))
    made.register("buy_again", Tree)(work)
    made.register("say", OUR_NAME, result=Said)(lambda run, args: {"said": "so"})
    return made


def walked(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a document, by its place."""
    if isinstance(value, dict):
        yield path, value
        for key, one in value.items():
            yield from walked(one, f"{path}/{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from walked(one, f"{path}/{number}")


def test_every_model_stands_once_and_all_are_used(handlers: Handlers) -> None:
    for registered in (handlers, plain, Handlers()):
        made = document(registered)
        OpenAPIV31SpecValidator(made).validate()
        inline = [
            place
            for place, one in walked(made)
            if isinstance(one.get("properties"), dict)
            and not re.fullmatch(r"/components/schemas/[^/]+(/allOf/\d+/(if|then))?", place)
        ]
        assert inline == []
        schemas = made["components"]["schemas"]
        texts = [json.dumps(one, sort_keys=True) for one in schemas.values()]
        assert len(texts) == len(set(texts))
        referred = set(re.findall(f'"{REF}([^"]+)"', json.dumps(made)))
        assert referred == set(schemas)


def test_models_of_one_name_are_parted(handlers: Handlers) -> None:
    made = document(handlers)
    schemas = made["components"]["schemas"]
    assert "order_id" in schemas["Order"]["properties"], "the API's own answers keep their names"
    assert "code" in schemas["Refused"]["properties"]
    items = {name: one["properties"] for name, one in schemas.items() if "Item" in name}
    mine = [one for name, one in items.items() if name.endswith("Item") or "Item-" in name]
    assert {tuple(one) for one in mine} >= {("price",), ("other",)}
    mapping = schemas["AnyOrder"]["discriminator"]["mapping"]
    assert mapping["buy:again"] == REF + "order.buy_again"
    assert mapping["buy_again"] == REF + "order.buy_again-2"
    say = schemas["order.say"]["properties"]["other"]["$ref"].removeprefix(REF)
    assert schemas[say]["properties"]["other"]["type"] == "integer"


def problems(made: dict[str, Any], name: str, value: dict[str, Any]) -> list[str]:
    """What is wrong with a value, by the schema of this name: the places."""
    schema = {"components": made["components"], "$ref": REF + name}
    found = Draft202012Validator(schema).iter_errors(value)
    return ["/".join(map(str, one.absolute_path)) for one in found]


def test_result_is_that_of_its_tag(
    handlers: Handlers, make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    made = document(handlers)
    kernel = make_kernel(sqlite_url, handlers)
    zammad: Client = client(kernel)
    bill = {"items": [{"price": "1"}]}
    for order in (
        {"select_tag": "buy", "bill": bill},
        {"select_tag": "buy:again", "bill": bill},
        {"select_tag": "buy_again"},
        {"select_tag": "say", "other": {"other": 1}},
    ):
        url = "https://receiver.example/x"
        assert problems(made, "AnyOrder", order | {"callback_url": url}) == []
        answer = zammad.post("/v1/orders", json=order | {"callback_url": url})
        order_id = answer.json["data"]["order_id"]
        drain(kernel)
        shown = zammad.get(f"/v1/orders/{order_id}").json["data"]
        assert problems(made, "Order", shown) == []
        (sent,) = [one for one in kernel.transport.sent if order_id in one.body.decode()]
        assert problems(made, "Outcome", sent.json()["data"]) == []
        wrong = problems(made, "Order", shown | {"result": {"odd": 1}})
        assert bool(wrong) is (order["select_tag"] != "buy_again")
    answers = made["components"]["schemas"]["Order"]["properties"]["result"]["anyOf"]
    assert [one.get("$ref", "any") for one in answers] == [
        *(REF + name for name in ("Bill-Output", "Said")),
        "any",
    ]


class Net:
    """What pydantic makes by a function, and cannot describe."""

    def __init__(self, text: str) -> None:
        self.text = text


class Undescribed(BaseModel, arbitrary_types_allowed=True):
    """One argument of that kind."""

    net: Annotated[Net, BeforeValidator(Net)]


class Numbers(RootModel[dict[str, int]]):
    """Any names, each with a number."""


@pytest.mark.parametrize("others", [[], [Bill]])
def test_model_that_cannot_be_described_is_an_object_and_the_others_stay(
    make_kernel: Callable[..., Kernel], sqlite_url: str, others: list[type[BaseModel]]
) -> None:
    handlers = Handlers()
    for model in (Undescribed, Numbers, *others):
        handlers.register(model.__name__.lower(), model)(lambda run, args: {})
    made = document(handlers, "/")
    OpenAPIV31SpecValidator(made).validate()
    orders, caller = made["components"]["schemas"], client(make_kernel(sqlite_url, handlers))
    for tag, args in (("undescribed", {"net": "10.0.0.0/8"}), ("numbers", {"one": 1})):
        members = {"select_tag": tag, "callback_url": None, **args}
        Draft202012Validator(orders[f"order.{tag}"]).validate(members)
        assert caller.post("/v1/orders", json=members).status_code == 202
    assert ("order.bill" in orders) == bool(others)
    assert not Draft202012Validator(orders["order.numbers"]).is_valid(
        {"select_tag": "numbers", "callback_url": None, "one": "two"}
    )
