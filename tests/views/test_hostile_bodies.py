"""Bodies that other systems accept, change or trip over: each gets a 4xx that says where."""

from collections.abc import Callable

import pytest

from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, client, handlers
from tests.support.factories import CALLBACK

START = b'{"select_tag": "anything", "callback_url": "' + CALLBACK.encode() + b'", '


def member(value: bytes) -> bytes:
    """An order with one member of this value, spelled as given."""
    return START + b'"x": ' + value + b"}"


REFUSED = {
    "a name twice": (member(b'1, "x": 2'), "/x"),
    "a name twice, escaped once": (member(b'1, "\\u0078": 2'), "/x"),
    "a name twice, deep": (member(b'[{"a": 1, "a": 1}]'), "/x/0/a"),
    "NaN": (member(b"NaN"), "/x"),
    "Infinity": (member(b"[-Infinity]"), "/x/0"),
    "half a surrogate pair": (member(b'"\\ud800"'), "/x"),
    "the wrong half of one": (member(b'"\\udc00\\ud800"'), "/x"),
    "half a pair as a name": (START + b'"\\ud800": 1}', ""),
    "NUL": (member(b'"a\\u0000b"'), "/x"),
    "a number to be rounded": (member(b"0.1000000000000000055"), "/x"),
    "a number beyond measure": (member(b"1e400"), "/x"),
    "a number of many digits": (member(b"9" * 5000), "/x"),
    "depth": (member(b"[" * 70 + b"]" * 70), "/x" + "/0" * 63),
    "depth without end": (member(b"[" * 100_000), None),
    "a BOM": (b"\xef\xbb\xbf" + member(b"1"), None),
    "UTF-16": (member(b"1").decode().encode("utf-16"), None),
    "bytes that are no UTF-8": (member(b'"\xc0\x80"'), None),
    "a raw newline in a text": (member(b'"a\nb"'), None),
    "a comma too many": (member(b"1,"), None),
    "a comment": (member(b"1 /* why */"), None),
    "two documents": (member(b"1") * 2, None),
    "a list": (b"[" + member(b"1") + b"]", ""),
    "a text": (b'"x"', ""),
    "null": (b"null", ""),
    "nothing": (b"", None),
}
STRANGE = [
    "'; DROP TABLE kernel_orders; --",
    "{{ 7 * 7 }} ${7*7} <%= 7 %>",
    "<script>alert(1)</script>",
    "👩‍👩‍👧‍👦 𠮷 🇨🇳",
    "\u202eabc\u2066def\u2069",
    "line\nline\r\nline\u2028line\x85\t\x07\x1b[2J",
    "e\u0301 é Å ﬁ",
    "trailing   ",
    "\ufeffbom inside\uffff\U0010ffff",
    "",
]


@pytest.fixture
def zammad(make_kernel: Callable[..., Kernel], database_url: str) -> Client:
    return client(make_kernel(database_url, handlers))


@pytest.fixture
def on_file(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Client:
    return client(make_kernel(sqlite_url, handlers))


@pytest.mark.parametrize("what", REFUSED)
def test_body_is_refused_with_its_place_when_it_is_hostile(on_file: Client, what: str) -> None:
    body, pointer = REFUSED[what]
    answer = on_file.post("/v1/orders", data=body, content_type="application/json")
    assert answer.status_code == 400, answer.text
    assert answer.json["data"].get("pointer") == pointer
    assert on_file.get("/v1/orders").json["data"]["orders"] == []


@pytest.mark.parametrize("strange", STRANGE)
def test_text_comes_back_byte_for_byte_when_it_is_strange(zammad: Client, strange: str) -> None:
    order_id = zammad.submitted(select_tag="anything", projname=strange, **{strange: [strange]})
    assert zammad.args(order_id) == {"projname": strange, strange: [strange]}


@pytest.mark.parametrize("number", ["0", "-1", "1.0", "1e2", str(2**63), "9" * 64, "0.1"])
def test_number_keeps_its_value_when_it_is_odd(on_file: Client, number: str) -> None:
    body = member(number.encode())
    answer = on_file.post("/v1/orders", data=body, content_type="application/json")
    shown = on_file.args(answer.json["data"]["order_id"])["x"]
    assert shown == (float(number) if "." in number or "e" in number else int(number))
