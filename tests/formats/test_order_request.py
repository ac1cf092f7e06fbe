"""JSON in, strictly; and what is made of it."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import InvalidJson, InvalidOrder
from kernel.formats.envelope import encode
from kernel.formats.order_request import fingerprint, order_request
from kernel.formats.strictjson import MAX_DEPTH, parse_json
from tests.support.clients import ORDER, handlers


def refused(body: bytes | str) -> InvalidJson:
    with pytest.raises(InvalidJson) as caught:
        parse_json(body.encode() if isinstance(body, str) else body)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":1} x',
        b'{"a":"\n"}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":0x1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_body_is_refused_when_it_is_not_strict_json(body: bytes) -> None:
    refused(body)


@pytest.mark.parametrize("body", ["[]", "1", "null", '"x"', "true"])
def test_body_is_refused_when_it_is_not_an_object(body: str) -> None:
    assert refused(body).data == {"pointer": ""}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"a":1,"a":1}', "/a"),
        ('{"x":[{},{"a":1,"b":2,"a":1}]}', "/x/1/a"),
        ('{"a~/b":{"c":1,"c":1}}', "/a~0~1b/c"),
        ('{"\\ud800":1,"\\ud800":2}', ""),
        ('{"a":NaN}', "/a"),
        ('{"a":[1,-Infinity]}', "/a/1"),
        ('{"a":"\\ud800"}', "/a"),
        ('{"a":{"\\udfff":1}}', "/a"),
        ('{"a":["x","\\u0000"]}', "/a/1"),
        ('{"a":{"\\u0000":1}}', "/a"),
        ('{"a":' + "9" * 65 + "}", "/a"),
        ('{"a":1e400}', "/a"),
        ('{"a":-1e400}', "/a"),
        ('{"a":1e-400}', "/a"),
        ('{"a":1e999999999999999999999}', "/a"),
        ('{"a":1e-999999999999999999999}', "/a"),
        ('{"a":0.1000000000000000055}', "/a"),
        ('{"a":12345678901234567.89}', "/a"),
        ("NaN", ""),
    ],
)
def test_value_is_refused_with_its_place_when_it_could_not_be_kept(body: str, pointer: str) -> None:
    assert refused(body).data == {"pointer": pointer}


@pytest.mark.parametrize(
    ("submitted", "kept"),
    [
        ("1.0", "1.0"),
        ("1", "1"),
        ("-0.0", "-0.0"),
        ("-0", "0"),
        ("1e2", "100.0"),
        ("1E-7", "1e-07"),
        ("0.1", "0.1"),
        ("0.10", "0.1"),
        ("1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5e-324", "5e-324"),
    ],
)
def test_number_keeps_its_value_when_it_is_read(submitted: str, kept: str) -> None:
    assert encode(parse_json(f'{{"a":{submitted}}}'.encode())) == f'{{"a":{kept}}}'.encode()


def test_depth_is_refused_at_one_level_too_many() -> None:
    nested = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert parse_json(nested.encode())
    assert refused(f'{{"a":{nested}}}').data == {"pointer": "/a" * MAX_DEPTH}


def test_repeated_name_is_found_quickly_when_there_are_very_many() -> None:
    names = ",".join(f'"{n}":0' for n in range(90_000))
    started = time.monotonic()
    assert refused(f'{{{names},"89999":0}}').data == {"pointer": "/89999"}
    assert time.monotonic() - started < 2


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused_whatever_they_are(body: bytes) -> None:
    try:
        assert isinstance(parse_json(body), dict)
    except InvalidJson as error:
        encode(error.data | {"message": error.message})


def request(**members: Any) -> Any:
    return order_request(ORDER | members, handlers)


def test_fingerprint_is_the_same_when_only_order_and_blanks_differ() -> None:
    one = parse_json(b'{"a": 1, "b": {"c": 1.5, "d": null}}')
    two = parse_json(b'{"b":{"d":null,"c":1.5},"a":1}')
    assert fingerprint(one) == fingerprint(two)


@pytest.mark.parametrize("other", [{"projname": "b"}, {"prodesc": ""}, {"projname": "桥 "}])
def test_fingerprint_differs_when_a_member_does(other: dict[str, Any]) -> None:
    assert fingerprint(ORDER) != fingerprint(ORDER | other)


def test_arguments_are_the_members_without_the_orders_own() -> None:
    assert json.loads(request(prodesc="x").args) == {"projname": "桥", "prodesc": "x"}


def test_arguments_are_strict_when_they_are_nearly_right() -> None:
    order = {"select_tag": "nested", "callback_url": ORDER["callback_url"], "a/b~c": "1"}
    with pytest.raises(InvalidOrder) as caught:
        order_request(order, handlers)
    assert caught.value.data["errors"][0]["pointer"] == "/a~1b~0c"
