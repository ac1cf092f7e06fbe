"""What an answer means, what a lookup found, and for how long to wait. Pure."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.formats.shapes.answer import (
    FEW,
    Found,
    NotFound,
    found,
    judge,
    judge_beginning,
    refuses_token,
    wait_hint,
)
from kernel.formats.shapes.shape import DEFAULT, Shape, parse_shape

SHAPE = parse_shape({
    "answer": [
        {"is": "delivered", "status": "2xx", "json": [
            {"path": "code", "equals": 0}, {"path": "objects", "not_empty": True}]},
        {"is": "done", "status": 200, "json": {"path": "message", "contains": "'resolved'"}},
        {"is": "give_up", "json": {"path": "Error", "exists": True}, "says": "Error.text"},
        {"is": "delivered", "text": {"equals": "ok"}},
        {"is": "retry", "status": [422, 500], "tries": 3},
    ],
    "lookup": {"url": "/t", "rows": "result", "match": "number", "equals": "{{ reference }}",
               "value": "sys_id", "allow": "alphanumeric"},
    "wait": {"X-Unix": "unix", "X-Iso": "iso", "X-Seconds": "seconds"},
})  # fmt: skip
LOOKUP = SHAPE.lookup
assert LOOKUP is not None
ROW = {"number": "INC1", "sys_id": "a"}


# What PHP writes before an answer.
NOTICE = "<br />\n<b>Deprecated</b>:  strlen() in <b>/itop/a.php</b> on line <b>3</b><br />\n"


def nested(levels: int) -> bytes:
    return b'{"code":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("status", "body", "verdict", "tries"),
    [
        (200, {"code": 0, "objects": {"a": 1}}, "delivered", None),
        (200, {"code": 0, "objects": {}}, "retry", FEW),
        (200, {"code": False, "objects": {"a": 1}}, "retry", FEW),
        (200, {"code": 100, "message": "in state 'resolved'"}, "done", None),
        (200, {"Error": {"text": "closed"}}, "give_up", None),
        (200, "ok\n", "delivered", None),
        (200, "\ufeffok", "delivered", None),
        (200, '\ufeff{"code": 0, "objects": {"a": 1}}', "delivered", None),
        (200, "\ufeff\n<html>", "retry", None),
        (200, f'{NOTICE}{{"code": 0, "objects": {{"a": 1}}}}\n', "delivered", None),
        (200, f'{NOTICE}{NOTICE}{{"Error": {{"text": "closed"}}}}', "give_up", None),
        (200, '\nNotice: x in /a.php on line 3\n{"code": 0, "objects": [1]}', "delivered", None),
        (200, f'{NOTICE}{{"code": 0, "objects": [1]}}</html>', "retry", FEW),
        (200, f'{NOTICE}{{"code": 0, "obj', "retry", FEW),
        (200, '{"was":\n{"code": 0, "objects": [1]}', "retry", FEW),
        (200, "<html>", "retry", None),
        (204, "", "retry", FEW),
        (422, "", "retry", 3),
        (404, "no", None, None),
    ],
)
def test_first_rule_that_holds_decides(
    status: int, body: Any, verdict: str | None, tries: int | None
) -> None:
    sent = body if isinstance(body, str) else json.dumps(body)
    judged = judge(SHAPE, status, "application/json", sent.encode())
    assert (judged.verdict, judged.tries) == (verdict, tries)
    assert str(status) in judged.saw


SURE = parse_shape({"answer": [
    {"is": "delivered", "status": 200, "json": {"path": "ticket.id", "exists": True}},
    {"is": "give_up", "status": [404, 422], "says": "description"},
    {"is": "retry", "status": 500, "tries": 3},
]})  # fmt: skip
EMPTY = parse_shape({"answer": [
    {"is": "delivered", "status": 204},
    {"is": "delivered", "status": 200, "text": {"equals": ""}},
]})  # fmt: skip
UNSURE = parse_shape({"answer": [
    {"is": "give_up", "status": [200, 500], "json": {"path": "Error", "exists": False}},
    {"is": "done", "status": 201, "json": {"path": "code", "equals": 5}},
    {"is": "delivered", "status": "2xx"},
    {"is": "give_up", "status": 201},
]})  # fmt: skip
JSON, PAGE = "application/json", "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("shape", "status", "kind", "body", "verdict", "tries"),
    [
        (SURE, 200, JSON, b'{"ticket":{"descr', "delivered", None),
        (SURE, 200, JSON, b"", "delivered", None),
        (SURE, 200, JSON, b'{"ticket":{}}', "retry", FEW),
        (SURE, 200, PAGE, b"", "retry", None),
        (SURE, 200, JSON, b"\n<!DOCTYPE html><ht", "retry", None),
        (SURE, 200, JSON, b"\n<?xml version='1.0'?><tick", "retry", FEW),
        (SURE, 202, JSON, b"{", "retry", FEW),
        (SURE, 422, JSON, b"{", "give_up", None),
        (SURE, 500, JSON, b"{", "retry", 3),
        (SURE, 502, JSON, b"{", None, None),
        (EMPTY, 200, PAGE, b"", "retry", None),
        (EMPTY, 200, "text/plain", b"", "retry", FEW),
        (EMPTY, 204, PAGE, b"", "delivered", None),
        (UNSURE, 200, JSON, b"{", "retry", FEW),
        (UNSURE, 201, JSON, b"{", "done", None),
        (UNSURE, 500, JSON, b"{", None, None),
    ],
)
def test_status_decides_of_an_answer_without_its_end_where_all_rules_agree(
    shape: Shape, status: int, kind: str, body: bytes, verdict: str | None, tries: int | None
) -> None:
    judged = judge_beginning(shape, status, kind, body)
    assert (judged.verdict, judged.tries) == (verdict, tries)


def test_without_rules_the_status_decides_elsewhere() -> None:
    assert judge(DEFAULT, 200, "text/html", b"<html>").verdict is None


def test_judgement_says_what_it_saw_in_printable_words() -> None:
    judged = judge(SHAPE, 200, "", b'{"message": "a\\n\\u001b[2J \'resolved\'' + b"x" * 999 + b'"}')
    assert judged.saw.startswith("status 200; message = ")
    assert len(judged.saw) <= 200
    assert judged.saw.isprintable()


@pytest.mark.parametrize("body", [b"ab\x1b[2J\x00", b"\xff\xfe", b'"\\ud800"'])
def test_what_a_hostile_text_shows_is_printable(body: bytes) -> None:
    saw = judge(SHAPE, 200, "", body).saw
    assert saw.isprintable()
    saw.encode()


@given(st.integers(100, 599), st.binary())
def test_no_answer_makes_the_judge_fail(status: int, body: bytes) -> None:
    judge(SHAPE, status, "text/html; charset=ISO-8859-1", body)
    assert LOOKUP is not None
    found(LOOKUP, "1", status, body)


@pytest.mark.parametrize("body", [b"[" * 200_000, nested(450), nested(900), b"9" * 10_000])
def test_answer_that_is_nested_deep_or_huge_is_judged(body: bytes) -> None:
    assert judge(SHAPE, 200, "", body).verdict == "retry"
    assert LOOKUP is not None
    assert isinstance(found(LOOKUP, "1", 200, body), NotFound)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"result": [ROW]}, Found("a")),
        (200, {"result": [ROW, {"number": "INC2", "sys_id": "b"}]}, Found("a")),
        (200, {"result": [ROW | {"sys_id": 7}]}, Found(7)),
        (200, {"result": [ROW | {"number": "INC2"}]}, FEW),
        (200, {"result": []}, FEW),
        (200, {"result": [ROW, ROW]}, True),
        (200, {"result": [ROW | {"sys_id": ""}]}, True),
        (200, {"result": [ROW | {"sys_id": True}]}, True),
        (200, {"result": [ROW | {"sys_id": {}}]}, True),
        (200, {"result": {}}, False),
        (200, "<html>", False),
        (404, {}, FEW),
        (403, {}, True),
        (401, {}, False),
        (429, {}, False),
        (503, {}, False),
    ],
)
def test_lookup_finds_one_row_that_is_the_one_asked_for(
    status: int, body: Any, expected: Found | bool | int
) -> None:
    """Else: whether that is permanent, or after how many times it is."""
    assert LOOKUP is not None
    sent = body if isinstance(body, str) else json.dumps(body)
    result = found(LOOKUP, "INC1", status, sent.encode())
    if isinstance(result, NotFound):
        assert ((result.tries or result.permanent), bool(result.saw)) == (expected, True)
    else:
        assert result == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("x-seconds", "30", "30"),
        ("x-unix", "1780000060", "60"),
        ("x-unix", "1", "0"),
        ("x-iso", "2026-05-28T20:27:40Z", "60"),
        ("x-iso", "2026-05-28T20:27:40", None),
        ("x-iso", "soon", None),
        ("x-unix", "nan", None),
        ("x-seconds", "inf", None),
        ("x-seconds", "٣", None),
        ("x-seconds", str(2**63 - 1), str(2**63)),
        ("x-seconds", "9" * 400, "1" + "0" * 20),
        ("x-other", "30", None),
    ],
)
def test_wait_is_read_from_seconds_and_from_times(
    name: str, value: str, expected: str | None
) -> None:
    now = datetime.fromtimestamp(1_780_000_000, UTC)
    assert wait_hint(SHAPE, {name: value}, now) == expected


RENEWING = [
    {"is": "give_up", "status": 400, "json": {"path": "code", "equals": 1}},
    {"is": "retry", "status": 400, "json": {"path": "code", "one_of": [1, 2]}, "renews": True},
]


@pytest.mark.parametrize(
    ("rules", "status", "code", "refuses"),
    [
        (RENEWING, 400, 2, True),
        (RENEWING, 400, 1, False),
        (RENEWING, 400, 3, False),
        (RENEWING, 403, 2, False),
        (RENEWING, 401, 2, True),
        ([], 401, 2, True),
        ([], 400, 2, False),
    ],
)
def test_token_is_refused_by_401_and_by_the_rule_that_says_so(
    rules: Any, status: int, code: int, refuses: bool
) -> None:
    body = json.dumps({"code": code}).encode()
    assert refuses_token(parse_shape({"answer": rules}), status, body) is refuses
