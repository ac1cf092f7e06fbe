"""Objects and lists of an order within other text: names of members are text too. Pure."""

import json
import re
from typing import Any

import pytest

from kernel.formats.shapes.render import facts, render
from kernel.formats.shapes.shape import parse_shape
from kernel.formats.shapes.text_shaping import FORMATS, shaper

RESULT = {
    "<img src=x onerror=alert(1)>": "<b>",
    "[code]<script>": ["[x](y) *z* `u` @all {m}\n"],
}
WRITTEN = json.dumps(RESULT, ensure_ascii=False)


def body(shape: dict[str, Any], result: Any = None) -> Any:
    data = {"state": "success", "result": RESULT if result is None else result}
    known = facts(json.dumps({"status": 0, "msg": "", "data": data}).encode(), "d-1", {})
    return json.loads(render(parse_shape(shape), known, {}).body)


@pytest.mark.parametrize("text_format", sorted(FORMATS))
def test_object_within_text_is_shaped_as_a_whole(text_format: str) -> None:
    text = {"format": text_format, "template": "", "tail": "<i>{{ result }}"}
    shape = {
        "text": text,
        "outcomes": {"success": {"in": "<i>{{ result }}", "alone": "{{ result }}"}},
        "body": {"a": "<i>{{ result }}", "b": "{{ outcome.in }}", "c": "<i>{{ outcome.alone }}",
                 "d": {"if": "text", "then": "{{ text }}"}},
    }  # fmt: skip
    made = body(shape)
    expected = "<i>" + shaper(text_format)(WRITTEN)
    assert (made["a"], made["b"], made["c"]) == (expected, expected, expected)
    assert text_format == "adf" or made["d"].endswith(expected)


def test_escapes_within_the_json_of_an_object_are_not_taken_back() -> None:
    shape = {"text": {"format": "markdown"}, "body": {"a": "x {{ result }}"}}
    assert re.search(r"(?<!\\)(?:\\\\)*[<*`\[]", body(shape)["a"]) is None


def test_object_alone_is_an_object_with_its_own_names() -> None:
    shape = {
        "text": {"format": "html"},
        "outcomes": {"success": {"x": "{{ result }}", "y": {"<u>": ["{{ result }}", "<i>"]}}},
        "body": {"a": "{{ result }}", "b": "{{ outcome.x }}", "c": "{{ outcome.y }}",
                 "d": "{{ outcome.x.k }}", "e": "{{ outcome }}"},
    }  # fmt: skip
    shaped = {"<n>": "&lt;b&gt;", "k": "&amp;"}
    made = body(shape, {"<n>": "<b>", "k": "&"})
    y = {"<u>": [shaped, "<i>"]}
    assert made == {"a": shaped, "b": shaped, "c": y, "d": "&amp;", "e": {"x": shaped, "y": y}}


def test_what_the_operator_wrote_in_outcomes_stays_as_it_is_within_text() -> None:
    outcomes = {"success": {"x": {"<u>": "<i>"}, "y": "<i>{{ result.k }}"}}
    shape = {
        "text": {"format": "html"},
        "outcomes": outcomes,
        "body": {"a": "- {{ outcome.x }}", "b": "- {{ outcome.y }}"},
    }
    assert body(shape, {"k": "&"}) == {"a": '- {"<u>": "<i>"}', "b": "- <i>&amp;"}


def test_outcome_in_a_header_is_not_escaped_for_the_text() -> None:
    shape = parse_shape({
        "text": {"format": "html"},
        "outcomes": {"success": {"x": "{{ result.k }}"}},
        "headers": {"X-Alone": "{{ result.k }}", "X-By": "{{ outcome.x }}"},
    })  # fmt: skip
    envelope = {"status": 0, "msg": "", "data": {"state": "success", "result": {"k": "a&b"}}}
    sent = render(shape, facts(json.dumps(envelope).encode(), "d-1", {}), {})
    assert (sent.headers["X-Alone"], sent.headers["X-By"]) == ("a&b", "a&b")
