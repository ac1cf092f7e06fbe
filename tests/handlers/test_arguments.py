"""What a limit and a title take from an order: its arguments, as the handler's model has them."""

import json
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType

import pytest
from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    Field,
    SecretStr,
    StringConstraints,
    field_validator,
)
from typing_extensions import TypeAliasType

from kernel.errors import ConfigurationError
from kernel.handlers import Handler, Handlers
from kernel.handlers.limits import shown


class Color(str, Enum):  # noqa: UP042 - a StrEnum writes itself as its value
    """A text that its class writes otherwise."""

    RED = "red"
    BLUE = "blue"


def broken(_: dict[str, Any]) -> str:
    """Fail as a default that asks another system may."""
    raise RuntimeError("no customer today")


class Work(BaseModel):
    """Arguments of many kinds."""

    region: str = "eu"
    customer: str = Field(default_factory=lambda data: f"{data['region']}-1")
    broken: str = Field(default_factory=broken)
    color: Color = Color.RED
    maybe: str | None = "x"
    who: str = Field("", validation_alias=AliasPath("whose", "id"))
    small: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True)] = ""
    price: Decimal = Decimal(0)
    rate: float = 0.0
    other: Annotated[str, AfterValidator(lambda _: object())] = ""


class Sealed(BaseModel):
    """Arguments whose secret is not to be taken for its mask."""

    pin: SecretStr = Field(min_length=4)
    name: str = "n"
    made: str = Field(default_factory=lambda: "m")
    needs: str = Field(default_factory=lambda data: data["name"])

    @field_validator("pin")
    @classmethod
    def _is_known(cls, pin: SecretStr) -> SecretStr:
        return {"7319": pin}[pin.get_secret_value()]


CustomerId = NewType("CustomerId", str)
Hosts = NewType("Hosts", list[str])
Word = TypeAliasType("Word", Annotated[str, Field(min_length=1)])


class Kinds(BaseModel):
    """Types that are texts or numbers, and such as are not."""

    choice: Literal["a", "b"] = "a"
    size: Literal[1, 2] | None = 1
    color: Literal[Color.RED, None] = Color.RED
    customer: CustomerId = CustomerId("a")
    word: Word | None = "a"
    mixed: Literal["a", True] = "a"
    nothing: Literal[None] = None
    hosts: Hosts = Hosts([])


def handler(model: type[BaseModel], name: str) -> Handler:
    registry = Handlers()
    words: dict[str, Any] = {"concurrency": 1, "per": name, "title": f"<{{{name}}}>"}
    registry.register("do", model, **words)(lambda _run, _args: {})  # type: ignore[arg-type]
    return registry["do"]


NAMED: list[tuple[type[BaseModel], str, dict[str, Any], str, str | None]] = [
    (Work, "customer", {"broken": ""}, "eu-1", "<eu-1>"),
    (Work, "customer", {"region": "us", "broken": ""}, "us-1", "<us-1>"),
    (Work, "color", {"broken": ""}, "red", "<red>"),
    (Work, "color", {"color": "red", "broken": ""}, "red", "<red>"),
    (Work, "maybe", {"broken": ""}, "x", "<x>"),
    (Work, "maybe", {"maybe": None, "broken": ""}, "", None),
    (Work, "who", {"whose": {"id": "a"}, "broken": ""}, "a", "<a>"),
    (Work, "small", {"small": " ACME ", "broken": ""}, "acme", "<acme>"),
    (Work, "price", {"price": 1.5, "broken": ""}, "1.5", "<1.5>"),
    (Work, "price", {"price": "10.50", "broken": ""}, "10.5", "<10.50>"),
    (Work, "price", {"price": "2.00", "broken": ""}, "2", "<2.00>"),
    (Work, "price", {"price": "1e999999999", "broken": ""}, "1E+999999999", "<1E+999999999>"),
    (Work, "rate", {"rate": 3, "broken": ""}, "3", "<3.0>"),
    # What is no text and no number once the model has read it.
    (Work, "other", {"other": "a", "broken": ""}, "", None),
    # A default that raises: what the order says itself is known all the same.
    (Work, "broken", {}, "", None),
    (Work, "region", {"region": "us"}, "us", "<us>"),
    (Work, "customer", {}, "", None),
    # A model that refuses the mask.
    (Sealed, "name", {"pin": "•••", "name": "a"}, "a", "<a>"),
    (Sealed, "name", {"pin": "•••"}, "n", "<n>"),
    (Sealed, "made", {"pin": "•••"}, "m", "<m>"),
    (Sealed, "needs", {"pin": "•••"}, "", None),
    (Sealed, "needs", {"pin": "7319"}, "n", "<n>"),
]


@pytest.mark.parametrize(("model", "name", "args", "place", "title"), NAMED, ids=range(len(NAMED)))
def test_arguments_are_named_as_the_model_has_them(
    model: type[BaseModel], name: str, args: dict[str, Any], place: str, title: str | None
) -> None:
    one = handler(model, name)
    assert one.limited_by(json.dumps(args)) == place
    assert one.title_of(json.dumps(args), "en") == title


@pytest.mark.parametrize(
    ("name", "value"),
    [("choice", "a"), ("size", "1"), ("color", "red"), ("customer", "a"), ("word", "a")],
)
def test_choices_and_named_types_are_texts_and_numbers(name: str, value: str) -> None:
    assert handler(Kinds, name).limited_by("{}") == value
    assert handler(Kinds, name).title_of("{}", "en") == f"<{value}>"


@pytest.mark.parametrize("name", ["mixed", "nothing", "hosts"])
def test_choices_and_named_types_are_refused_when_they_are_no_text(name: str) -> None:
    with pytest.raises(ConfigurationError, match="an argument of text or a number"):
        handler(Kinds, name)


def test_reference_may_be_a_choice_of_texts() -> None:
    Handlers().register("do", Kinds, reference="choice")
    with pytest.raises(ConfigurationError, match="an argument of type str"):
        Handlers().register("do", Kinds, reference="size")


@pytest.mark.parametrize(
    ("one", "other"),
    [("1", "1.00"), ("1E+2", "100"), ("-0", "0"), ("1E-7", "0.00000010"), ("1E+999", "10E+998")],
)
def test_number_is_one_value_of_a_limit_however_it_is_written(one: str, other: str) -> None:
    assert shown(Decimal(one)) == shown(Decimal(other))


def test_values_of_a_limit_that_are_not_the_same_stay_apart() -> None:
    values = (None, " ", "0", "~", Decimal("1.5"), Decimal("15"), Decimal("1E+15"), "NaN")
    assert len({shown(one) for one in values}) == len(values)
