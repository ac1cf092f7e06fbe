"""Models of results, refused at import or used on what is returned; steps, states and notes."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, SecretStr
from typing_extensions import TypedDict

from kernel.errors import ConfigurationError
from kernel.handlers import Handlers, Partial, Run
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import Client, client


class Nothing(BaseModel):
    """No arguments."""


class Item(BaseModel):
    """One of several."""

    price: Decimal
    unit_name: str = Field("piece", alias="unitName")


class Bill(BaseModel):
    """A result with depth, aliases, and a secret."""

    items: list[Item]
    at: datetime = datetime(2026, 1, 31, tzinfo=UTC)
    pin: SecretStr = SecretStr("4711")


class Said(TypedDict):
    """As a TypedDict."""

    said: str


@dataclass
class Spoken:
    """As a dataclass."""

    said: str


class Thing:
    """What no JSON knows."""


class Holding(BaseModel):
    """A model that cannot be JSON."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    good: int
    thing: Thing


class Several(RootModel[list[int]]):
    """A model that is no object."""


class Colour(Enum):
    RED = "red"


PIN = SecretStr("4711")
Ran = Callable[..., dict[str, Any]]


@pytest.fixture
def ran(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Ran:
    """Register a handler, run an order of it, and return how it is shown."""

    def run(function: Callable[[Run, Any], Any], **terms: Any) -> dict[str, Any]:
        registry = Handlers()
        registry.register("do", Nothing, **terms)(function)
        kernel = make_kernel(sqlite_url, registry)
        zammad: Client = client(kernel)
        order = {"select_tag": "do", "callback_url": None}
        order_id = zammad.post("/v1/orders", json=order).json["data"]["order_id"]
        drain(kernel, raise_bugs=False)
        shown: dict[str, Any] = zammad.get(f"/v1/orders/{order_id}").json["data"]
        return shown

    return run


BILL = {"items": [{"price": "1.10", "unitName": "m"}], "at": "2026-01-31T00:00:00Z"}
RETURNED: list[Any] = [
    Bill(items=[Item(price=Decimal("1.10"), unitName="m")]),
    {"items": [{"price": Decimal("1.10"), "unit_name": "m"}]},
    {"items": [{"price": "1.10", "unitName": "m"}]},
]


@pytest.mark.parametrize("returned", RETURNED, ids=["instance", "by name", "by alias"])
def test_result_is_written_by_its_model(ran: Ran, returned: Any) -> None:
    shown = ran(lambda run, args: returned, result=Bill)
    pin = shown["result"].pop("pin")
    assert shown["result"] == BILL
    assert set(pin) == {"*"}


def test_part_of_a_result_is_written_by_its_model(ran: Ran) -> None:
    shown = ran(lambda run, args: Partial(RETURNED[0], "half"), result=Bill)
    assert (shown["state"], shown["result"]["items"]) == ("warning", BILL["items"])


@pytest.mark.parametrize(
    ("model", "returned"),
    [(Said, {"said": "so"}), (Spoken, Spoken("so")), (Spoken, {"said": "so"})],
)
def test_typed_dict_and_dataclass_are_models_too(ran: Ran, model: Any, returned: Any) -> None:
    assert ran(lambda run, args: returned, result=model)["result"] == {"said": "so"}


@pytest.mark.parametrize("model", [None, Said, Spoken])
@pytest.mark.parametrize("partial", [False, True])
def test_result_may_be_any_mapping(ran: Ran, model: Any, partial: bool) -> None:
    def say(run: Run, args: Nothing) -> Mapping[str, Any] | Partial:
        said = MappingProxyType({"said": "so"})
        return Partial(said, "half") if partial else said

    shown = ran(say, result=model)
    assert shown["state"] == ("warning" if partial else "success")
    assert shown["result"] == {"said": "so"}


WRONG: list[tuple[Any, Any, str]] = [
    (Bill, {"items": [{"price": 1}, {"price": "x" * 7}]}, "result.items[1].price: Input should be"),
    (Bill, {"items": [], "more": 1}, "result.more: Extra inputs are not permitted"),
    (Bill, {}, "result.items: Field required"),
    (Bill, None, "result: Input should be a valid dictionary or instance of Bill"),
    (
        Bill,
        Bill.model_construct(items=[Item.model_construct(price="y" * 7)]),
        "result.items[0].pri",
    ),
    (Spoken, Spoken(7), "result.said: Input should be a valid string"),  # type: ignore[arg-type]
    (Item, {"price": Decimal("Infinity")}, "result.price: Input should be a finite number"),
    (None, {"items": [{"price": object()}]}, "result.items[0].price is of type object"),
    (None, Bill(items=[]), "a handler returns a dict or Partial, not Bill"),
]


@pytest.mark.parametrize(("model", "returned", "words"), WRONG, ids=range(len(WRONG)))
def test_wrong_result_is_a_failure_that_names_the_member(
    ran: Ran, caplog: pytest.LogCaptureFixture, model: Any, returned: Any, words: str
) -> None:
    shown = ran(lambda run, args: returned, result=model)
    assert shown["error"]["code"] == "internal_error"
    assert words in caplog.text
    assert "arguments no longer fit" not in caplog.text
    assert "xxxxxxx" not in caplog.text, "a value may be a secret"
    assert "yyyyyyy" not in caplog.text


REFUSED: list[tuple[Any, str]] = [
    (dict, "result is a pydantic model, a TypedDict or a dataclass, not <class 'dict'>"),
    (Bill(items=[]), "result is a pydantic model, a TypedDict"),
    (Holding, "result=Holding cannot be JSON: thing: "),
    (Several, "a result is a JSON object, and Several is none"),
]


@pytest.mark.parametrize(("model", "words"), REFUSED, ids=range(len(REFUSED)))
def test_model_of_no_result_is_refused_at_import(model: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        Handlers().register("do", Nothing, result=model)


def test_words_name_members_of_the_result() -> None:
    with pytest.raises(
        ConfigurationError, match=r"says: \{sad\} is no member of Said; there are s"
    ):
        Handlers().register("do", Nothing, result=Said, says="It is {sad}.")
    Handlers().register("do", Nothing, result=Item, says="By {unitName}.")


def test_plain_results_are_written_as_pydantic_does(ran: Ran) -> None:
    given = {"a": Decimal("1.10"), "b": UUID(int=1), "c": Colour.RED, "d": b"x", "e": RETURNED[0]}
    shown = ran(lambda run, args: given | {"s": SecretStr("4711")})
    assert "4711" not in json.dumps(shown)
    assert [*shown["result"].values()][:4] == ["1.10", str(UUID(int=1)), "red", "x"]
    assert shown["result"]["e"]["items"][0]["price"] == "1.10"


def test_steps_states_and_notes_are_written_the_same_way(ran: Ran) -> None:
    def work(run: Run, args: Nothing) -> dict[str, Any]:
        step = run.step("buy", lambda: {"price": Decimal("1.10"), "id": UUID(int=1)})
        secret = run.step("pin", lambda: {"pin": PIN}, secret=True)
        run.checkpoint(1, 2, Decimal("1.10"), {"at": datetime(2026, 1, 31, tzinfo=UTC)})  # type: ignore[arg-type]
        return {"step": step, "known": secret == {"pin": "4711"}, "note": run.progress.note}  # type: ignore[union-attr]

    assert ran(work)["result"] == {
        "step": {"price": "1.10", "id": str(UUID(int=1))},
        "known": True,
        "note": "1.10",
    }


REFUSING: list[tuple[Callable[[Run], Any], str]] = [
    (
        lambda run: run.step("buy", lambda: [{"price": object()}]),
        "the result of step 'buy'[0].price is of type object",
    ),
    (
        lambda run: run.step("pin", lambda: {"pin": PIN}),
        "the result of step 'pin'.pin is a secret, which cannot be stored here",
    ),
    (lambda run: run.checkpoint(1, state={"n": float("nan")}), "state.n is nan"),
    (lambda run: run.checkpoint(1, state=[PIN]), "state[0] is a secret"),
    (lambda run: run.submit("do", name={"x": object()}), "members.name.x is of type object"),
]


@pytest.mark.parametrize(("act", "words"), REFUSING, ids=range(len(REFUSING)))
def test_what_no_step_state_or_child_can_hold_is_named(
    ran: Ran, caplog: pytest.LogCaptureFixture, act: Callable[[Run], Any], words: str
) -> None:
    def work(run: Run, args: Nothing) -> dict[str, Any]:
        act(run)
        return {}

    assert ran(work)["error"]["code"] == "internal_error"
    assert words in caplog.text
    assert "4711" not in caplog.text
