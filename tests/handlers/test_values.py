"""How what handlers give becomes JSON, and how what cannot is told: by its place, not its value."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import to_jsonable_python

from kernel.handlers.values import masked, refused, revealed, to_json


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Price(BaseModel):
    """A model with a secret."""

    price: Decimal
    pin: SecretStr = SecretStr("4711")


@dataclass
class Box:
    """A dataclass that holds others."""

    inside: list[Any] = field(default_factory=list)


ID = UUID("01a1fbbe-f34d-7981-810d-57a278250261")
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
WRITTEN: list[Any] = [
    *(Decimal("1.10"), AT, date(2026, 1, 31), timedelta(hours=1), ID, Colour.RED, Level.HIGH),
    *(b"abc", {1}, frozenset(), (1, "x"), Path("/a"), Box([AT, Box()]), 2**70, -0.5),
    *({ID: 1, AT: 2, Colour.RED: 3, 7: 4}, Price(price=Decimal("2.5"))),
]


@pytest.mark.parametrize("value", WRITTEN, ids=range(len(WRITTEN)))
def test_value_is_written_as_pydantic_writes_it(value: Any) -> None:
    written = json.loads(to_json({"deep": [value]}))["deep"][0]
    assert written == json.loads(json.dumps(to_jsonable_python(value)))


def test_other_mappings_are_objects() -> None:
    assert to_json(MappingProxyType({"a": 1})) == '{"a":1}'


def test_text_stays_as_it_is() -> None:
    assert to_json({"桥": "\u2028\n"}) == '{"桥":"\u2028\\n"}'


ROUND: list[Any] = []
ROUND.append({"again": ROUND})
REFUSED: list[tuple[Any, str]] = [
    ({"items": [1, 2, 3, {"price": object()}]}, "result.items[3].price is of type object, which"),
    ({"a b": float("nan")}, "result['a b'] is nan, a number that JSON does not have"),
    ({"items": [Box([float("-inf")])]}, "result.items[0].inside[0] is -inf"),
    ({"x": Decimal("NaN"), "y": lambda: 1}, "result.y is of type function"),
    ({"x": "\ud800"}, "result.x holds half of a surrogate pair"),
    ({"\ud800": 1}, "a key of result holds half of a surrogate pair"),
    ({"x": {(1, 2): 3}}, "result.x has a key of type tuple; keys are text"),
    ({"x": {object(): 3}}, "result.x has a key of type object; keys are text"),
    ({"x": b"\xff"}, "result.x is bytes that are no UTF-8 text; give base64.b64encode(value)"),
    ({"x": (n for n in [1])}, "result.x is an iterator; give a list"),
    ({"x": ROUND}, "result.x[0].again is part of itself"),
    ({"x": Price}, "result.x is of type ModelMetaclass, which cannot be JSON"),
]


@pytest.mark.parametrize(("value", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_json_is_told_with_its_place(value: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        to_json(value)


def test_depth_has_an_end() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match=r"result\[0\]\[0\].*is deeper than 200 levels"):
        to_json(deep)


SECRET = {"a": SecretStr("s3"), "b": [SecretBytes(b"s3")], "c": {1: Price(price=Decimal(1))}}


def test_secrets_are_masked_revealed_or_refused() -> None:
    assert "s3" not in to_json(SECRET)
    assert "4711" not in to_json(SECRET)
    shown = json.loads(to_json(SECRET, of_secrets=revealed))
    assert (shown["a"], shown["b"], shown["c"]["1"]["pin"]) == ("s3", ["s3"], "4711")
    with pytest.raises(TypeError, match=r"state\.a is a secret, which cannot be stored here"):
        to_json(SECRET, "state", refused)
    with pytest.raises(TypeError, match=r"state\[0\]\.pin is a secret"):
        to_json([Price(price=Decimal(1))], "state", refused)
    assert json.loads(to_json([SecretStr("x")], of_secrets=masked)) == ["•••"]
