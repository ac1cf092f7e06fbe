"""What an order says stays text in every system, however it is written and however long it is."""

import json
import re
from urllib.parse import parse_qs

import pytest

from kernel.delivery.profiles import names, profile
from kernel.formats.envelope import MAX_MESSAGE, MAX_RESULT_BYTES, encode, encode_result
from kernel.formats.shapes.render import Rendered
from kernel.formats.shapes.text_shaping import FORMATS
from tests.delivery.profiles.cases import DELIVERY, ENDING, NUMBERED, outcome, sent, shape_of

MARKS = {
    "html": ("<script>", "</p>", "<img"),
    "wiki": ("{code}", "[~admin]", "[http", "!http"),
    "textile": ("{{", "<script>", "[[", "@all", "!http", '":http'),
    "markdown": ("\n/close", "@all", "<script>", "](http", "![", "`", "#1"),
    "journal": ("[code]", "[/CODE]"),
    "mrkdwn": ("<!channel>", "<http", "<@U"),
    "card": ("](http", "<http"),
    "plain": (),
    "adf": (),
}
HOSTILE = (
    "<script>alert(1)</script></p><img src=x onerror=y> {code}x{code} [~admin] [http://evil]"
    ' !http://evil/x.png! {{include}} [[x]] "x":http://evil @all @here <!channel> <@U1>'
    " <http://e|x> [x](http://evil) ![x](http://evil) `x` #1 \\ \" ' %0d%0a &amp; {{ secret.user }}"
    ' [code]<b>x</b>[/CODE]\n/close\n/assign @root\r\n\x00\x07\x1b[31m\u202e","state":"7\u2028end'
)
FLOODS = {
    "newlines": "\n" * 300_000 + "end",
    "lines": "a\n" * 150_000,
    "quotes": "'" * 300_000,
    "marks": "<{@\\" * 75_000,
    "wide": "\U0001f600" * 75_000,
}


def said(made: Rendered) -> str:
    """Return every string that a body holds, decoded, one behind the other."""
    text = made.body.decode()
    if "form" in made.headers["content-type"]:
        text = parse_qs(text, strict_parsing=True)["json_data"][0]
    strings: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, str):
            strings.append(value)
        for one in value.values() if isinstance(value, dict) else ():
            walk(one)
        for one in value if isinstance(value, list) else ():
            walk(one)

    walk(json.loads(text))
    return "\n".join(strings)


def skeleton(value: object) -> object:
    """Return a JSON value without what its strings say."""
    if isinstance(value, dict):
        return {key: skeleton(one) for key, one in value.items()}
    return [skeleton(one) for one in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("name", names())
def test_hostile_text_stays_text(name: str) -> None:
    for ending in ({}, ENDING.get(name, {})):
        shape = shape_of(name, ending)
        made = sent(shape, name, outcome("success", HOSTILE))
        for mark in MARKS[shape.text.format]:
            # A backslash takes its meaning away.
            assert re.search(r"(?<!\\)" + re.escape(mark), said(made)) is None, mark
        assert "p&ss" not in said(made) or name == "znuny"
        quiet = sent(shape, name, outcome("success", "x"))
        assert (made.method, made.url, made.headers) == (quiet.method, quiet.url, quiet.headers)
        if "json" in made.headers["content-type"] and shape.text.format != "adf":
            assert skeleton(json.loads(made.body)) == skeleton(json.loads(quiet.body))


def test_marks_are_told_for_every_format_and_are_in_the_text() -> None:
    """Formats without marks have no escaping: what is in the text means nothing there."""
    assert set(MARKS) == set(FORMATS)
    assert all(mark in HOSTILE for marks in MARKS.values() for mark in marks)


# Bodies that hold the message itself, as the callback does.
WHOLE = {"cloudevents-binary", "cloudevents-structured", "jira-automation"}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("name", sorted(set(names()) - WHOLE))
def test_flood_is_cut_in_sight_and_the_last_line_stays(name: str, flood: str) -> None:
    shape = shape_of(name)
    made = sent(shape, name, outcome("failed", FLOODS[flood]))
    assert f"ref {DELIVERY}" in said(made)
    assert "(cut: the text has " in said(made).replace("\\", "")
    assert shape.text.limit is not None
    limit = shape.text.limit
    assert len(said(made)) < 2 * limit + 2000
    assert len(made.body) < 12 * limit + 100_000


def test_teams_takes_28_kilobytes_and_gets_no_more() -> None:
    for text in FLOODS.values():
        assert len(sent(shape_of("teams"), "teams", outcome("failed", text)).body) < 28_000


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("name", sorted(WHOLE))
def test_largest_outcome_that_there_is_goes_out_whole(name: str, flood: str) -> None:
    """A message has 1,000 characters and a result 256 KiB: `kernel.formats.envelope`."""
    text = FLOODS[flood]
    log = text[: len(text) * (MAX_RESULT_BYTES - 100) // len(encode(text))]
    body = outcome("success", text[:MAX_MESSAGE], result=json.loads(encode_result({"log": log})))
    made = json.loads(sent(shape_of(name), name, body).body)
    in_rule = name == "jira-automation"
    whole = {"message": text[:MAX_MESSAGE]} if in_rule else {"result": {"log": log}}
    told = made["data"]["data"] if name == "cloudevents-structured" else made["data"]
    assert {key: told[key] for key in whole} == whole


@pytest.mark.parametrize("name", names())
def test_half_of_a_surrogate_pair_is_replaced(name: str) -> None:
    body = outcome("failed", "x").replace(b'"msg":"x"', b'"msg":"a\\ud800b"')
    sent(shape_of(name), name, body).body.decode("utf-8")


@pytest.mark.parametrize("name", sorted(set(names()) - NUMBERED))
def test_hostile_reference_stays_in_its_place(name: str) -> None:
    shape = shape_of(name)
    quiet = sent(shape, name, outcome("success"))
    reference = "1/../2?x=1#y&z=%2F;\\ \"',{code}"
    made = sent(shape, name, outcome("success", reference=reference))
    assert str(made.url).count("/") == str(quiet.url).count("/")
    assert str(made.url).count("?") == str(quiet.url).count("?")
    assert str(made.url).count("&") == str(quiet.url).count("&")
    assert "#" not in str(made.url)
    assert set(made.headers) <= set(quiet.headers)
    assert all(value.isprintable() and value.isascii() for value in made.headers.values())
    assert profile(name).secrets == () or "password" not in str(made.headers)
