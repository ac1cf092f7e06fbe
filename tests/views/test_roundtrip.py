"""What was submitted comes back as it was, byte for byte; nothing hostile gets a 5xx."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import ORDER, Client, client, handlers
from tests.support.factories import CALLBACK

# One application serves all examples of a test; the rows of earlier ones do not matter.
fuzz = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names.filter(lambda name: name not in ORDER), values, max_size=5)

STRANGE = [
    "Robert'); DROP TABLE kernel_orders;--",
    "{{ 7*7 }} ${7*7} <script>alert(1)</script> %s %(x)s :name ?",
    "\\ \\\\ \\' \" \\0 \\u0041 \\n",
    "😀😁 𠜎 👨‍👩‍👧‍👦 é e\u0301",
    "\u202eabc\u202c \u2066x\u2069 \ufeff \u200b \u2028\u2029",
    "\t\r\n \x01\x1f\x7f\x85",
    "trailing   ",
    "成功\uffff\U0010ffff",
]


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


def exact(value: Any) -> str:
    """JSON text that tells 1 from 1.0 and 0.0 from -0.0."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("text", STRANGE)
def test_text_comes_back_as_it_was_when_it_is_strange(zammad: Client, text: str) -> None:
    args = {"x": text, text: [text]}
    assert zammad.args(zammad.submitted(select_tag="anything", **args)) == {"projname": "桥"} | args


@pytest.mark.parametrize("text", STRANGE)
def test_text_reaches_the_receiver_as_it_was_when_a_handler_gives_it_back(
    kernel: Kernel, zammad: Client, text: str
) -> None:
    zammad.submit(select_tag="anything", x=text)
    drain(kernel)
    assert kernel.transport.sent[0].json()["data"]["result"]["x"] == text


@given(args=objects)
@fuzz
def test_arguments_come_back_as_they_were_whatever_they_are(
    zammad: Client, args: dict[str, Any]
) -> None:
    body = json.dumps({"select_tag": "anything", "callback_url": CALLBACK, **args})
    answer = zammad.post("/v1/orders", data=body, content_type="application/json")
    assert answer.status_code == 202, answer.text
    assert exact(zammad.args(answer.json["data"]["order_id"])) == exact(args)


def assert_not_5xx(zammad: Client, body: bytes) -> None:
    answer = zammad.post("/v1/orders", data=body, content_type="application/json")
    assert set(answer.json) == {"status", "msg", "data"}
    assert answer.status_code == 202 or 400 <= answer.status_code < 500, answer.text


@given(body=st.binary(max_size=300))
@fuzz
def test_answer_is_never_5xx_whatever_the_bytes(zammad: Client, body: bytes) -> None:
    assert_not_5xx(zammad, body)


@given(
    members=st.dictionaries(st.sampled_from([*ORDER, "prodesc", "x"]), values), tag=st.booleans()
)
@fuzz
def test_answer_is_never_5xx_whatever_the_members(
    zammad: Client, members: dict[str, Any], tag: bool
) -> None:
    order = ORDER | members if tag else members
    assert_not_5xx(zammad, json.dumps(order).encode())


@given(at=st.integers(0, 200), junk=st.binary(min_size=1, max_size=4))
@fuzz
def test_answer_is_never_5xx_when_an_order_is_damaged(zammad: Client, at: int, junk: bytes) -> None:
    body = json.dumps(ORDER, ensure_ascii=False).encode()
    assert_not_5xx(zammad, body[:at] + junk + body[at + len(junk) :])


@given(url=st.text(max_size=40) | st.from_regex(r"https?://[^ ]{0,30}"))
@fuzz
def test_answer_is_never_5xx_whatever_the_callback_url(zammad: Client, url: str) -> None:
    assert_not_5xx(zammad, json.dumps(ORDER | {"callback_url": url}).encode())


@given(
    headers=st.dictionaries(
        st.sampled_from(["Idempotency-Key", "Authorization", "X-Zammad-Delivery", "Content-Type"]),
        st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=20),
    )
)
@fuzz
def test_answer_is_never_5xx_whatever_the_headers(zammad: Client, headers: dict[str, str]) -> None:
    answer = zammad.post("/v1/orders", data=json.dumps(ORDER), headers=headers)
    assert answer.status_code < 500, answer.text
