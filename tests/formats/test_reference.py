"""What a reference may be, for people, for databases and for the API document alike."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kernel.errors import ConfigurationError, InvalidOrder
from kernel.formats.order_request import OrderRequest, order_request
from kernel.formats.reference import MAX_REFERENCE, PATTERN, as_reference, is_reference
from kernel.handlers import Handlers

QUERY = TypeAdapter(Annotated[str, Field(max_length=MAX_REFERENCE, pattern=PATTERN)])
TEXT = st.text(max_size=300) | st.text(" \t\u00a0\u2028\u202ea工", max_size=6)


@pytest.mark.parametrize("value", ["INC0012345", "工单 4711", "a", "#1 / x", "é" * MAX_REFERENCE])
def test_reference_is_taken_as_it_is(value: str) -> None:
    assert (is_reference(value), as_reference(value)) == (True, value)


@pytest.mark.parametrize(
    "value", ["", " ", " a", "a ", "a\n", "a\tb", "a\x00", "\u202ea", "a" * 256, 7, None, ["a"]]
)
def test_reference_is_refused_when_no_list_should_show_it(value: Any) -> None:
    assert not is_reference(value)


@given(TEXT)
def test_query_and_document_take_what_an_order_takes(value: str) -> None:
    try:
        taken = bool(QUERY.validate_python(value) or value)
    except ValidationError:
        taken = False
    in_document = len(value) <= MAX_REFERENCE and re.search(PATTERN[:-1] + r"\Z", value) is not None
    assert taken == in_document == is_reference(value)


@given(TEXT)
def test_argument_becomes_a_reference_or_none(value: str) -> None:
    made = as_reference(value)
    assert made is None or is_reference(made)
    assert made == value or not is_reference(value)


class Plain(BaseModel):
    """Arguments that know no reference."""

    ticket: str | None = None
    count: int = 0


class Own(BaseModel):
    """Arguments of which one is called reference, and is no text."""

    reference: int | str = 0


class Open(BaseModel, extra="allow"):
    """Whatever JSON there is."""


class Renamed(BaseModel):
    """An argument that callers call reference."""

    model_config = ConfigDict(validate_by_name=False)
    number: str = Field("", validation_alias=AliasChoices("no", "reference"))


class Aliased(BaseModel):
    """An argument called reference here, and something else by callers."""

    reference: str = Field("", alias="ref")


handlers = Handlers()
for _tag, _model in {"own": Own, "open": Open, "renamed": Renamed, "aliased": Aliased}.items():
    handlers.register(_tag, _model)(lambda run, args: {})
handlers.register("plain", Plain, reference="ticket")(lambda run, args: {})


def read(tag: str, header: str | None = None, **members: Any) -> OrderRequest:
    order = {"select_tag": tag, "callback_url": "https://r.example/", **members}
    return order_request(order, handlers, header)


def test_member_goes_before_header_and_header_before_argument() -> None:
    assert read("plain", "header", reference="member", ticket="argument").reference == "member"
    assert read("plain", "header", ticket="argument").reference == "header"
    assert read("plain", ticket="  argument\n2 ").reference == "argument 2"
    assert read("plain").reference is None
    assert read("plain", reference=None).reference is None


def test_member_is_no_argument_when_the_model_does_not_have_it() -> None:
    assert read("plain", reference="INC1").args == "{}"
    assert read("aliased", reference="INC1").args == "{}"


@pytest.mark.parametrize(
    ("tag", "value", "reference"),
    [
        ("own", "INC1", "INC1"),
        ("own", 7, None),
        ("own", "x" * 256, None),
        ("open", {"a": 1}, None),
        ("open", "INC1", "INC1"),
        ("renamed", "INC1", "INC1"),
    ],
)
def test_member_stays_an_argument_when_the_model_has_it(
    tag: str, value: Any, reference: str | None
) -> None:
    found = read(tag, reference=value)
    assert "reference" in found.args
    assert found.reference == reference


@pytest.mark.parametrize(
    ("value", "code"),
    [(7, "string_type"), ("x" * 256, "string_too_long"), (" x", "invalid_reference")],
)
def test_member_is_refused_when_it_cannot_be_one(value: Any, code: str) -> None:
    with pytest.raises(InvalidOrder) as caught:
        read("plain", reference=value)
    (wrong,) = caught.value.data["errors"]
    assert (wrong["pointer"], wrong["code"]) == ("/reference", code)


def test_fingerprint_differs_when_the_member_does() -> None:
    assert read("plain", reference="a").fingerprint != read("plain", reference="b").fingerprint
    assert read("plain", "a").fingerprint == read("plain", "b").fingerprint


@pytest.mark.parametrize("name", ["nothing", "count", 7, ""])
def test_register_refuses_a_reference_that_is_no_argument_of_text(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="reference="):
        Handlers().register("x", Plain, reference=name)


@pytest.mark.parametrize(
    "kind", [str, str | None, Annotated[str, Field(max_length=9)], Annotated[str, "a"] | None]
)
def test_register_takes_an_argument_of_text(kind: Any) -> None:
    fields: Mapping[str, Any] = {"__annotations__": {"ticket": kind}, "__module__": __name__}
    model = type("Made", (BaseModel,), dict(fields))
    Handlers().register("x", model, reference="ticket")
