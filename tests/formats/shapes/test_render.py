"""A request out of a shape and an envelope: nothing of the order leaves its place. Pure."""

import json
import time
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from kernel.formats.shapes.render import Facts, below, facts, question, render
from kernel.formats.shapes.shape import Shape, parse_shape
from kernel.formats.shapes.template import TemplateFailed
from kernel.formats.shapes.text_shaping import FORMATS, shaper

SECRETS = {"url": SecretStr("https://hook/abc?sig=1"), "pwd": SecretStr("s3cret<")}
HOSTILE = [
    *("../../x", "a/b", "x?y=1#z", "x\r\nX-Evil: 1", '","evil":"', "a&b=c", "..", ".", ""),
    *("@evil.example/", ".evil.example", "%2f", "é", "://", "a;b", "\\", "+ +"),
]
VALID = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


def known(reference: str = "INC1", state: str = "success", **data: Any) -> Facts:
    order = {"order_id": "o1", "reference": reference, "select_tag": "create", "state": state}
    body = json.dumps({"status": 0, "msg": "it <is> done", "data": {**order, **data}}).encode()
    return facts(body, "d1", {"table": "incident"})


def test_default_shape_sends_the_envelope_as_it_is() -> None:
    sent = render(parse_shape({}), known(), {})
    assert (sent.method, sent.url, sent.body) == ("POST", None, known().body)
    assert sent.headers == {"content-type": "application/json"}


def test_values_are_fitted_to_the_format_and_those_of_the_operator_are_not() -> None:
    shape = parse_shape({
        "body": {"a": "{{ msg }}", "b": "<p>{{ text }}</p>", "s": "{{ secret.pwd }}",
                 "o": "{{ outcome.state }}", "t": "{{ receiver.table }}"},
        "text": {"template": "{{ message }}\nref {{ delivery_id }}", "format": "html"},
        "outcomes": {"success": {"state": "<6>"}},
    })  # fmt: skip
    assert json.loads(render(shape, known(), SECRETS).body) == {
        "a": "it &lt;is&gt; done",
        "b": "<p>it &lt;is&gt; done<br>\nref d1</p>",
        "s": "s3cret<",
        "o": "<6>",
        "t": "incident",
    }


@pytest.mark.parametrize("text_format", sorted(FORMATS))
def test_what_kernel_makes_itself_is_as_it_is_in_every_format(text_format: str) -> None:
    made = {"order_id": "01a1-f34d", "created_at": "2026-11-21T01:35:57.9Z", "finished_at": "2-1"}
    whole = {"reference": "a", "select_tag": "b", "state": "success"} | made
    shape = parse_shape({
        "text": {"format": text_format, "tail": "{{ order_id }} {{ data.finished_at }}"},
        "outcomes": {"success": {"a": "{{ order_id }}", "in": "at {{ created_at }}"}},
        "headers": {"X-At": "{{ created_at }}"},
        "body": {
            "alone": {name: f"{{{{ {name} }}}}" for name in made},
            "data": {name: f"{{{{ data.{name} }}}}" for name in made},
            "in": "<i>{{ order_id }} {{ finished_at }}",
            "outcome": "{{ outcome }}", "whole": "{{ data }}", "text": "{{ text }}",
        },
    })  # fmt: skip
    sent = render(shape, known("a", select_tag="b", **made), {})
    body, expected = json.loads(sent.body), f"{made['order_id']} {made['finished_at']}"
    assert (body["alone"], body["data"], body["whole"]) == (made, made, whole)
    assert (body["in"], sent.headers["X-At"]) == (f"<i>{expected}", made["created_at"])
    assert body["outcome"] == {"a": made["order_id"], "in": f"at {made['created_at']}"}
    assert text_format == "adf" or body["text"].endswith(expected)
    assert json.loads(render(parse_shape({}), known(**made), {}).body)["data"]["order_id"]


def test_last_line_of_a_text_stays_when_it_is_cut() -> None:
    rule = {"template": "{{ data.long }}", "tail": "ref {{ delivery_id }}", "limit": 100}
    shape = parse_shape({"body": "{{ text }}", "text": rule})
    text = json.loads(render(shape, known(long="x" * 1000), {}).body)
    assert (len(text), text[-8:]) == (100, "\n\nref d1")
    assert "(cut: the text has 1000 characters)" in text


@pytest.mark.parametrize("reference", ["..", "."])
def test_each_of_two_urls_keeps_a_hostile_reference_in_its_place(reference: str) -> None:
    for state in ("success", "failed"):
        url = {"if": "error", "then": "/a/{{ reference }}/b", "else": "/c/{{ reference }}/d"}
        with pytest.raises(TemplateFailed, match="segment"):
            render(parse_shape({"url": url}), known(reference, state, error=state), {})


def test_form_has_its_json_as_one_field() -> None:
    form = {"pwd": "{{ secret.pwd }}", "json_data": {"k": "{{ reference }}"}}
    sent = render(parse_shape({"form": form}), known('"&x=1'), SECRETS)
    assert parse_qsl(sent.body.decode()) == [("pwd", "s3cret<"), ("json_data", '{"k":"\\"&x=1"}')]
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"


def test_secret_url_is_used_as_it_is_and_not_shown() -> None:
    sent = render(
        parse_shape({"url": "{{ secret.url }}", "body": "{{ secret.pwd }}"}), known(), SECRETS
    )
    assert sent.url == "https://hook/abc?sig=1"
    assert "sig" not in repr(sent)
    assert "s3cret" not in repr(sent)


@pytest.mark.parametrize("reference", HOSTILE)
@pytest.mark.parametrize("base", ["https://host", ""])
def test_hostile_reference_changes_neither_url_nor_structure(base: str, reference: str) -> None:
    stays(base, reference)


@given(VALID)
def test_no_reference_changes_the_url_or_the_structure(reference: str) -> None:
    stays("https://host", reference)
    stays("", reference)


def stays(base: str, reference: str) -> None:
    """A reference either fails, or stays one segment, query value, JSON string and form field."""
    url = base + "/{{ reference }}/end?q={{ reference }}&z=1"
    shape = {"url": url, "headers": {"ce-subject": "{{ reference }}"}, "percent": True}
    fields = {"a": "{{ reference }}", "b": "-{{ reference }}-"}
    try:
        sent = render(parse_shape(shape | {"body": fields}), known(reference), {})
        filled = render(parse_shape(shape | {"form": fields}), known(reference), {})
    except TemplateFailed:
        assert reference in ("", ".", "..")
        return
    assert reference not in ("", ".", "..")
    parts = urlsplit(below("https://host", sent.url))
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "host", "")
    assert [unquote(one) for one in parts.path.split("/")] == ["", reference, "end"]
    assert parse_qsl(parts.query) == [("q", reference), ("z", "1")]
    plain = shaper("plain")(reference)  # without control characters
    assert json.loads(sent.body) == {"a": plain, "b": f"-{plain}-"}
    assert parse_qsl(filled.body.decode()) == [("a", plain), ("b", f"-{plain}-")]
    assert set(sent.headers) <= {"content-type", "ce-subject"}
    assert unquote(sent.headers.get("ce-subject", reference)) == reference
    assert sent.headers.get("ce-subject", "x").isprintable()


@pytest.mark.parametrize(
    ("base", "url", "whole"),
    [
        ("https://h", None, "https://h"),
        ("https://h/a?code=1", None, "https://h/a?code=1"),
        ("https://h", "/b", "https://h/b"),
        ("https://h/a/", "b?c=d", "https://h/a/b?c=d"),
        ("https://h/a?code=1", "/b", "https://h/a/b?code=1"),
        ("https://h?code=1", "/b?c=https://d", "https://h/b?code=1&c=https://d"),
        ("https://h/a/?code=1&e=?", "/b?c=d", "https://h/a/b?code=1&e=?&c=d"),
        ("https://h/a?code=1", "https://h/a/b?c=d", "https://h/a/b?c=d"),
    ],
)
def test_url_goes_below_the_path_of_another_whose_query_stays(
    base: str, url: str | None, whole: str
) -> None:
    assert below(base, url) == whole


@pytest.mark.parametrize("reference", ["é", "a\nb", " a", "a\r", "\x7f"])
def test_header_that_is_not_visible_ascii_is_left_out(reference: str) -> None:
    shape = parse_shape({"headers": {"X-Ref": "{{ reference }}"}})
    assert render(shape, known(), {}).headers["X-Ref"] == "INC1"
    assert "X-Ref" not in render(shape, known(reference), {}).headers


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"url": "/{{ data.none }}"}, "needs data.none"),
        ({"url": "/{{ data.result }}"}, "no object"),
        ({"digits": ["data.none"]}, "needs data.none"),
        ({"digits": ["data.result"]}, "no object"),
        ({"digits": ["order_id", "reference"]}, "order_id has to be a number"),
        ({"body": {"a": "{{ secret.other }}"}}, "no secret named other"),
        ({"form": {"a": "{{ secret.other }}"}}, "no secret named other"),
        ({"body": ["{{ data }}"] * 2000}, "more than"),
        ({"url": "/" + "{{ data.result.big }}" * 2000}, "more than"),
        ({"headers": {f"x-{n}": "{{ data.result.big }}" for n in range(1500)}}, "more than"),
    ],
)
def test_what_does_not_fit_fails_with_words_and_soon(shape: Any, words: str) -> None:
    began = time.process_time()
    with pytest.raises(TemplateFailed, match=words):
        render(parse_shape(shape), known(result={"big": "x" * 200_000}), SECRETS)
    assert time.process_time() - began < 1


def test_result_that_is_nested_very_deep_fails_with_words() -> None:
    deep = '{"status":0,"msg":"","data":{"result":' + "[" * 800 + "]" * 800 + "}}"
    with pytest.raises(TemplateFailed):
        render(parse_shape({"body": "{{ data }}"}), facts(deep.encode(), "d1", {}), {})


@pytest.mark.parametrize("reference", ["INC1^ORnumber=2", "é", "", "a b", "١"])
def test_lookup_takes_letters_and_digits_alone(reference: str) -> None:
    lookup = {"url": "/t?q=number={{ reference }}", "rows": "result", "match": "number",
              "equals": "{{ reference }}", "value": "sys_id", "allow": "alphanumeric"}  # fmt: skip
    shape = parse_shape({"url": "/t/{{ found }}", "lookup": lookup})
    assert shape.lookup is not None
    asked = question(shape.lookup, known())
    assert (asked.url, asked.wanted) == ("/t?q=number=INC1", "INC1")
    assert render(shape, known(), {}, "abc").url == "/t/abc"
    with pytest.raises(TemplateFailed):
        question(shape.lookup, known(reference))
    with pytest.raises(TemplateFailed, match="found"):
        render(shape, known(), {})


@pytest.mark.parametrize("value", ["12-web-shop", "INC1", "12\n", " 12", "-1", "1.0", "١", True])
def test_place_of_digits_takes_whole_numbers_alone(value: Any) -> None:
    shape = parse_shape({"digits": ["data.result"], "body": "{{ data.result }}"})
    for number in ("12", 12, "007"):
        assert json.loads(render(shape, known(result=number), {}).body) == number
    with pytest.raises(TemplateFailed, match=r"data\.result has to be a number"):
        render(shape, known(result=value), {})


@pytest.mark.parametrize(
    ("charset", "sent"),
    [("iso-8859-1", b'{"a":"\\u00e9\\u20ac"}'), ("utf-8", b'{"a":"\xc3\xa9\xe2\x82\xac"}')],
)
def test_json_is_the_same_value_in_each_charset(charset: str, sent: bytes) -> None:
    shape = parse_shape({"charset": charset, "body": {"a": "{{ reference }}"}})
    assert render(shape, known("é€"), {}).body == sent


def test_text_that_a_charset_cannot_hold_is_a_question_mark() -> None:
    shape: Shape = parse_shape(
        {"charset": "iso-8859-1", "content_type": "text/plain", "body": "{{ reference }}"}
    )
    sent = render(shape, known("é€"), {})
    assert (sent.body, sent.headers["content-type"]) == (b"\xe9?", "text/plain; charset=iso-8859-1")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"data":1}', b"[" * 100_000, b"\xff"])
def test_body_that_is_no_envelope_fails(body: bytes) -> None:
    with pytest.raises(TemplateFailed, match="envelope"):
        facts(body, "d1", {})
