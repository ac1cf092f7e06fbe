"""docs/shapes.md tells of every profile and every member, and its examples are shapes."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from kernel.delivery.profiles import names, profile
from kernel.formats.shapes.rules import VERDICTS
from kernel.formats.shapes.shape import Shape, parse_shape
from kernel.formats.shapes.text_shaping import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "shapes.md").read_text()
EXAMPLES = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
# What a shape says by its `url`.
INNER = {"secret_url"}


def words(items: Any) -> str:
    return ", ".join(items) or "–"


@pytest.mark.parametrize("name", names())
def test_table_tells_what_a_profile_takes(name: str) -> None:
    known = profile(name)
    variables = (
        f"`{key}` (required)" if one.default is None else f"`{key}` (`{one.default}`)"
        for key, one in known.variables.items()
    )
    row = " | ".join([
        f"`{name}`", known.title, words(variables), words(f"`{key}`" for key in known.outcomes),
        words(f"`{key}`" for key in known.secrets), words(known.credentials),
    ])  # fmt: skip
    assert f"\n| {row} |\n" in PAGE


def test_table_has_no_profile_that_is_gone() -> None:
    table = PAGE.partition("| profile |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE) == list(names())


def test_every_member_format_and_verdict_is_told() -> None:
    members = {field.name for field in fields(Shape)} - INNER
    for word in (*members, *FORMATS, *VERDICTS):
        assert f"`{word}`" in PAGE, word


@pytest.mark.parametrize("example", EXAMPLES, ids=map(str, range(len(EXAMPLES))))
def test_example_is_a_shape(example: str) -> None:
    parse_shape(json.loads(example))
