"""A shape is checked as a whole, and each problem is told with its place. Pure."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.formats.shapes.reading import InvalidShape
from kernel.formats.shapes.shape import DEFAULT, parse_shape

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = [
    *("method", "url", "content_type", "charset", "headers", "percent", "body", "form", "text"),
    *("outcomes", "lookup", "answer", "wait", "variables", "needs", "digits"),
]
LOOKUP = {"url": "/t", "match": "n", "equals": "{{ reference }}", "value": "id"}


def test_empty_shape_is_the_default_one() -> None:
    assert parse_shape({}) == DEFAULT


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ([], ""),
        ({"body": float("nan")}, ""),
        ({"body": "x" * 70_000}, ""),
        ({"more": 1}, "/more"),
        ({"a/b": 1}, "/a~1b"),
        ({"method": "GET"}, "/method"),
        ({"method": []}, "/method"),
        ({"url": "ftp://x/"}, "/url"),
        ({"url": "{{ reference }}/x"}, "/url"),
        ({"url": "https://{{ reference }}/x"}, "/url"),
        ({"url": "https://host{{ reference }}/x"}, "/url"),
        ({"url": "https://h/{{ secret.url }}"}, "/url"),
        ({"url": "/{{ secret.other }}"}, "/url"),
        ({"url": "https://h/#x"}, "/url"),
        ({"headers": {"Host": "x"}}, "/headers/Host"),
        ({"headers": {"Content-Length": "1"}}, "/headers/Content-Length"),
        ({"headers": {"webhook-id": "1"}}, "/headers/webhook-id"),
        ({"headers": {"Authorization": "1"}}, "/headers/Authorization"),
        ({"headers": {"x": "{{ secret.a }}"}}, "/headers/x"),
        ({"headers": {"x y": "1"}}, "/headers/x y"),
        ({"headers": []}, "/headers"),
        ({"body": {"a/b": "{{ no place"}}, "/body/a~1b"),
        ({"body": 1, "form": {}}, "/form"),
        ({"text": {"format": "rtf"}}, "/text/format"),
        ({"text": {"limit": True}}, "/text/limit"),
        ({"text": {"template": "{{ secret.a }}"}}, "/text/template"),
        ({"text": {"template": "{{ text }}"}}, "/text/template"),
        ({"outcomes": {"done": {}}}, "/outcomes/done"),
        ({"outcomes": {"failed": {"a": "{{ secret.a }}"}}}, "/outcomes/failed/a"),
        ({"lookup": LOOKUP | {"allow": "all"}}, "/lookup/allow"),
        ({"lookup": LOOKUP | {"url": "/{{ secret.a }}"}}, "/lookup/url"),
        ({"answer": [{"is": "maybe"}]}, "/answer/0/is"),
        ({"answer": [{"is": "retry", "status": 99}]}, "/answer/0/status"),
        ({"answer": [{"is": "retry", "tries": 0}]}, "/answer/0/tries"),
        ({"answer": [{"is": "delivered", "renews": True}]}, "/answer/0/renews"),
        ({"answer": [{"is": "done", "json": {"path": "a"}}]}, "/answer/0/json"),
        ({"charset": "utf-16"}, "/charset"),
        ({"charset": "idna"}, "/charset"),
        ({"charset": "utf-8\r\nx: 1"}, "/charset"),
        ({"content_type": "a/b\r\nx: 1"}, "/content_type"),
        ({"wait": {"x-reset": "moon"}}, "/wait"),
        ({"digits": "reference"}, "/digits"),
        ({"digits": ["{{ reference }}"]}, "/digits"),
    ],
)
def test_problem_is_told_with_its_place(value: Any, pointer: str) -> None:
    with pytest.raises(InvalidShape) as refused:
        parse_shape(value)
    assert [one for one, _ in refused.value.problems] == [pointer]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidShape) as refused:
        parse_shape({"method": "GET", "charset": "x", "more": 1})
    assert {one for one, _ in refused.value.problems} == {"/method", "/charset", "/more"}


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_nothing_but_invalid_shape_is_raised(value: Any) -> None:
    with contextlib.suppress(InvalidShape):
        parse_shape(value)
