"""Which answers are pages of HTML, as a proxy writes them, and which a system's own. Pure."""

import time

import pytest

from kernel.formats.shapes.answer import FEW, judge
from kernel.formats.shapes.reading import InvalidShape
from kernel.formats.shapes.shape import parse_shape

STRICT = parse_shape({"answer": [{"is": "delivered", "json": {"path": "id", "exists": True}}]})
LENIENT = parse_shape({
    "answer": [
        {"is": "retry", "status": 200, "text": {"page": True}},
        {"is": "delivered", "status": 200},
        {"is": "give_up", "status": 500, "text": {"page": False}},
    ]
})  # fmt: skip
XML, DECLARED = "application/xml", '<?xml version="1.0"?>'
BEGINNINGS = (
    *("<html>", "<HTML lang=en>", "<html", "<!DOCTYPE html>", "<!doctype\nHTML PUBLIC '-//W3C//'>"),
    *("\ufeff \r\n<html>", "\ufeff\ufeff<html>", f"{DECLARED}\n<!DOCTYPE html>"),
    *("<!-- served by <x> -->\n<!----><html>", f'{DECLARED}<?xml-stylesheet href="a"?><html>'),
)
OTHERS = (
    *(f"{DECLARED}<ticket/>", "<ticket><html></html></ticket>", "<!DOCTYPE ticket><ticket/>"),
    *(
        "<htmlish/>",
        "<br />\nNotice",
        "<!-- <html> -->",
        "<!-- <html>",
        '{"a": "<html>"}',
        "ok <html>",
    ),
    *("", "<", "<!DOCTYPE", "<s:Envelope>"),
)


@pytest.mark.parametrize("text", BEGINNINGS)
def test_page_is_tried_until_the_deadline(text: str) -> None:
    judged = judge(STRICT, 200, XML, text.encode())
    assert (judged.verdict, judged.tries) == ("retry", None)
    assert judge(LENIENT, 200, XML, text.encode()).verdict == "retry"
    assert judge(LENIENT, 500, XML, text.encode()).verdict is None


@pytest.mark.parametrize("text", OTHERS)
def test_any_other_answer_is_tried_a_few_times(text: str) -> None:
    judged = judge(STRICT, 200, XML, text.encode())
    assert (judged.verdict, judged.tries) == ("retry", FEW)
    assert judge(LENIENT, 200, XML, text.encode()).verdict == "delivered"
    assert judge(LENIENT, 500, XML, text.encode()).verdict == "give_up"


@pytest.mark.parametrize(
    ("kind", "tries"),
    [
        *(("text/html", None), (" Text/HTML ; charset=utf-8", None)),
        *(("application/xhtml+xml", None), ("text/html-sandboxed", FEW), ("text/plain", FEW)),
    ],
)
def test_answer_that_says_it_is_a_page_is_one(kind: str, tries: int | None) -> None:
    assert judge(STRICT, 200, kind, b"Sign in").tries == tries
    # What a rule asks for is the beginning: some servers call every answer HTML.
    assert judge(LENIENT, 200, kind, b"ok").verdict == "delivered"


@pytest.mark.parametrize("before", ["<!---->", "<!--", " ", "<??>", "<?", "<!-- -->\n<?a?>"])
def test_cost_of_the_look_grows_with_the_answer_alone(before: str) -> None:
    began = time.process_time()
    judge(STRICT, 200, XML, before.encode() * (500_000 // len(before)) + b"<x>")
    assert time.process_time() - began < 2


def test_page_is_asked_for_by_true_or_false() -> None:
    with pytest.raises(InvalidShape, match="true or false"):
        parse_shape({"answer": [{"is": "retry", "text": {"page": "<html"}}]})
