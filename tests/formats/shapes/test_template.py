"""The template language: places with types, the conditional, its bounds. Pure."""

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.formats.shapes.filling import Filling
from kernel.formats.shapes.template import (
    ABSENT,
    InvalidTemplate,
    Own,
    TemplateFailed,
    parse_template,
    paths_of,
)

VALUES = {
    "status": 0,
    "none": None,
    "empty": "",
    "data": {"result": {"url": "https://x", "n": [1, "two"]}, "ok": True},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
WHOLE = JSON.filter(lambda value: value is not None)


def made(template: object, values: Any = VALUES) -> Any:
    return Filling(values).fill(parse_template(template))


def nested(levels: int) -> Any:
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain }} text", "plain }} text"),
        ("{{ status }}", 0),
        ("{{data.ok}}", True),
        ("{{ data.result.n.1 }}", "two"),
        ("{{ data.result.n }}", [1, "two"]),
        ("{{ none }}", ABSENT),
        ("{{ absent }}", ABSENT),
        ("{{ data.result.n.9 }}", ABSENT),
        ("{{ data.ok.real }}", ABSENT),
        ("a {{ status }}, {{ data.ok }}{{ absent }}{{ none }}.", "a 0, true."),
        ({"a": "{{ absent }}", "b": 1, "c": ["{{ absent }}", 2]}, {"b": 1, "c": [2]}),
        ({"if": "data.ok", "then": "yes", "else": "no"}, "yes"),
        ({"if": "status", "then": "yes", "else": "no"}, "no"),
        ([{"if": "empty", "then": 1}, {"if": "none", "else": 2}, 3], [2, 3]),
        ({"a": {"if": "absent", "then": 1, "else": {"b": "{{ status }}"}}}, {"a": {"b": 0}}),
    ],
)
def test_template_gives_this_value_for_these_values(template: object, expected: Any) -> None:
    found = made(template)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("template", "pointer", "words"),
    [
        ("{{ a", "", "begins no place"),
        ({"a/b": ["{{ a b }}"]}, "/a~1b/0", "begins no place"),
        ("{{ a.__class__() }}", "", "begins no place"),
        ({"if": "a"}, "", '"then"'),
        ({"if": "a", "then": 1, "more": 2}, "", '"then"'),
        ({"if": "{{ a }}", "then": 1}, "/if", "names and numbers"),
        (nested(40), "/0" * 33, "deeper than 32"),
    ],
)
def test_template_that_is_none_is_refused_with_its_place(
    template: object, pointer: str, words: str
) -> None:
    with pytest.raises(InvalidTemplate, match=words) as refused:
        parse_template(template)
    assert refused.value.pointer == pointer


def test_paths_of_template_are_those_it_names() -> None:
    node = parse_template({"a": "{{ b.c }} {{ d }}", "e": {"if": "f", "then": ["{{ g }}"]}})
    assert set(paths_of(node)) == {("b", "c"), ("d",), ("f",), ("g",)}


def test_strings_of_the_order_are_shaped_and_those_of_the_operator_are_not() -> None:
    filling = Filling({"a": {"x": ["b"]}, "own": Own({"x": "b"})}, str.upper)
    template = parse_template({"whole": "{{ a }}", "in": "b {{ a.x.0 }}", "own": "{{ own.x }}"})
    assert filling.fill(template) == {"whole": {"x": ["B"]}, "in": "b B", "own": "b"}


@given(JSON, st.dictionaries(st.text(), JSON))
def test_nothing_but_these_two_errors_is_raised(template: Any, values: Any) -> None:
    with contextlib.suppress(InvalidTemplate, TemplateFailed):
        made(template, values)


@given(WHOLE)
def test_whole_value_comes_back_as_it_was(value: Any) -> None:
    assert made("{{ it }}", {"it": value}) == value


@pytest.mark.parametrize("template", [["{{ it }}"] * 5000, "{{ it }}" * 5000])
def test_value_placed_again_and_again_stops_at_the_bound(template: object) -> None:
    big = {"it": [{"n": n} for n in range(20_000)]}
    began = time.process_time()
    with pytest.raises(TemplateFailed, match="more than"):
        made(template, big)
    assert time.process_time() - began < 2


def test_value_that_is_too_deep_fails_without_recursion_error() -> None:
    with pytest.raises(TemplateFailed, match="deeper"):
        made("{{ it }}", {"it": nested(900)})


@given(st.integers(1, 8))
def test_result_is_as_long_as_its_parts_together(times: int) -> None:
    assert len(made("{{ it }}" * times, {"it": "x" * 1000})) == times * 1000
