"""Where secrets stand in arguments: found by the model's schema, by value, or everywhere."""

import json
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
    ],
)
def test_secrets_are_masked_and_restored(
    model: type[BaseModel], args: dict[str, Any], expected: dict[str, Any]
) -> None:
    secrets = SecretFields(model).taken(args, model.model_validate_json(json.dumps(args)))
    hidden = masked(args, secrets)
    assert hidden == expected
    assert json.loads(restored(json.dumps(hidden), packed(secrets))) == args


def test_text_is_masked_as_python_and_json_quote_it() -> None:
    secrets = {("pin",): 'a"\n\\'}
    for form in (secrets["pin",], repr(secrets["pin",]), json.dumps(secrets["pin",])):
        assert "a" not in without(f"<{form}>", secrets)
