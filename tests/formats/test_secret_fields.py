"""Where secrets stand in arguments: found by the model's schema, by value, or everywhere."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, Secret, SecretStr

from kernel.handlers.registering.secret_fields import (
    SecretFields,
    masked,
    packed,
    restored,
    without,
)


class Odd(BaseModel):
    """Secrets that the schema tells under one name, or not at all."""

    model_config = ConfigDict(populate_by_name=True)

    by_alias: SecretStr | None = Field(None, alias="byAlias")
    chosen: SecretStr | None = Field(None, validation_alias=AliasChoices("one", "other"))
    number: Secret[str] = Secret("by default")
    changed: Annotated[Secret[str], AfterValidator(lambda one: Secret("x"))] = Secret("")
    text: str | int = ""


class Tree(BaseModel):
    """A model that holds itself."""

    pin: SecretStr | str = ""
    below: "dict[str, list[Tree]]" = {}


class Typed(BaseModel):
    """Secrets of types whose schema does not tell them, beside what is none."""

    pin: Secret[int | None] = Secret(None)
    rate: Secret[float] = Secret(0.0)
    price: Secret[Decimal] = Secret(Decimal(0))
    born: Secret[date] = Secret(date(2000, 1, 1))
    words: Secret[dict[str, list[str]]] = Secret({})
    hour: Secret[timedelta] = Secret(timedelta())
    name: str = "x"
    is_new: bool = True
    note: str | None = None


@pytest.mark.parametrize(
    ("model", "args", "expected"),
    [
        (Odd, {"byAlias": "a", "text": "a"}, {"byAlias": "•••", "text": "a"}),
        (Odd, {"by_alias": "a"}, {"by_alias": "•••"}),
        (Odd, {"other": "b", "text": 1}, {"other": "•••", "text": 1}),
        (Odd, {"number": "n"}, {"number": "•••"}),
        (Odd, {"changed": "c", "text": "t"}, {"changed": "•••", "text": "•••"}),
        (Odd, {"text": "t"}, {"text": "t"}),
        (Tree, {"below": {"x": [{"pin": "1"}]}}, {"below": {"x": [{"pin": "•••"}]}}),
        (Typed, {"pin": 1234, "name": "x"}, {"pin": "•••", "name": "x"}),
        (Typed, {"pin": None, "name": "x"}, {"pin": None, "name": "x"}),
        (Typed, {"rate": 12, "is_new": True}, {"rate": "•••", "is_new": True}),
        (Typed, {"price": 12.5, "name": "x"}, {"price": "•••", "name": "x"}),
        (Typed, {"price": "12.50", "name": "x"}, {"price": "•••", "name": "x"}),
        (Typed, {"born": "1999-12-31", "name": "x"}, {"born": "•••", "name": "x"}),
        (Typed, {"words": {"a": ["b", "c"]}, "name": "b"}, {"words": "•••", "name": "b"}),
        (
            Typed,
            {"hour": "PT1H", "name": "x", "is_new": False, "note": None},
            {"hour": "•••", "name": "•••", "is_new": "•••", "note": None},
        ),
    ],
)
def test_secrets_are_masked_and_restored(
    model: type[BaseModel], args: dict[str, Any], expected: dict[str, Any]
) -> None:
    secrets = SecretFields(model).taken(args, model.model_validate_json(json.dumps(args)))
    hidden = masked(args, secrets)
    assert hidden == expected
    assert json.loads(restored(json.dumps(hidden), packed(secrets))) == args


def test_numbers_of_a_secret_list_are_masked_in_a_text() -> None:
    assert without("no 1234, no 5.5", {("pins",): [1234, {"x": 5.5}]}) == "no •••, no •••"


def test_text_is_masked_as_python_and_json_quote_it() -> None:
    secrets = {("pin",): 'a"\n\\'}
    for form in (secrets["pin",], repr(secrets["pin",]), json.dumps(secrets["pin",])):
        assert "a" not in without(f"<{form}>", secrets)
