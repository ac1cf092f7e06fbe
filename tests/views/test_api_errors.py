"""What the API refuses: the status, the envelope, the pointer; and nobody else's orders."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from gunicorn.http.errors import InvalidChunkSize
from sqlalchemy import insert

from kernel.db.tables.service import SelectTag
from kernel.delivery.redeliver import redeliver
from kernel.runtime.kernel import Kernel
from tests.support.clients import ORDER, Client, client, codes, handlers, is_refusal
from tests.support.factories import make_delivery, make_order

UNKNOWN = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


def send(zammad: Client, body: bytes | str, **headers: str) -> Any:
    headers = {"Content-Type": "application/json"} | headers
    return zammad.post("/v1/orders", data=body, headers=headers)


def test_body_is_refused_with_400_when_it_is_not_json(zammad: Client) -> None:
    answer = send(zammad, b'{"a": ')
    assert is_refusal(answer, 400, "invalid_json")
    assert "line 1" in answer.json["data"]["detail"]


def test_body_is_refused_with_a_pointer_when_a_name_stands_twice(zammad: Client) -> None:
    answer = send(zammad, b'{"a": [{"b/c": 1, "b/c": 2}]}')
    assert is_refusal(answer, 400, "invalid_json")
    assert answer.json["data"]["pointer"] == "/a/0/b~1c"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_body_is_refused_with_415_when_it_is_not_json_content(
    zammad: Client, headers: dict[str, str]
) -> None:
    assert is_refusal(send(zammad, json.dumps(ORDER), **headers), 415, "not_json")


def test_body_is_refused_with_413_when_it_is_a_byte_too_long(
    make_kernel: Any, sqlite_url: str
) -> None:
    zammad = client(make_kernel(sqlite_url, handlers, max_body_bytes=1024))
    body = json.dumps(ORDER).encode()
    assert send(zammad, body.ljust(1024)).status_code == 202
    answer = send(zammad, body.ljust(1025))
    assert is_refusal(answer, 413, "body_too_large")
    assert answer.json["data"]["limit"] == 1024


def test_body_is_refused_with_413_when_its_chunks_are_too_long(
    make_kernel: Any, sqlite_url: str
) -> None:
    zammad = client(make_kernel(sqlite_url, handlers, max_body_bytes=1024))
    body = json.dumps(ORDER).encode().ljust(1025)
    chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    answer = zammad.post(
        "/v1/orders", data=body, content_type="application/json", environ_overrides=chunked
    )
    assert is_refusal(answer, 413, "body_too_large")


def test_body_is_refused_with_400_when_it_is_shorter_than_announced(zammad: Client) -> None:
    long = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "500"}
    answer = zammad.post(
        "/v1/orders", json=ORDER, content_type="application/json", environ_overrides=long
    )
    assert is_refusal(answer, 400, "invalid_json")


class BrokenStream(io.RawIOBase):
    """A connection that ends, or a chunk that cannot be read, in gunicorn's words."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise InvalidChunkSize(b"zz")


def test_body_is_refused_with_400_when_its_chunks_cannot_be_read(zammad: Client) -> None:
    broken = {"wsgi.input": BrokenStream(), "wsgi.input_terminated": True}
    answer = zammad.post("/v1/orders", content_type="application/json", environ_overrides=broken)
    assert is_refusal(answer, 400, "invalid_json")


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"select_tag": 7}, [("/select_tag", "string_type")]),
        ({"select_tag": "no_such"}, [("/select_tag", "unknown_select_tag")]),
        ({"callback_url": 7}, [("/callback_url", "string_type")]),
        ({"callback_url": "https://e.org/" + "x" * 2048}, [("/callback_url", "string_too_long")]),
        ({"projname": ""}, [("/projname", "string_too_short")]),
        ({"projname": 7, "more": 1}, [("/projname", "string_type"), ("/more", "unknown_member")]),
        ({"select_tag": "nested", "projname": 1}, [("/projname", "unknown_member")]),
    ],
)
def test_order_is_refused_with_pointers_when_members_are_wrong(
    zammad: Client, members: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    assert codes(zammad.submit(**members)) == found


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ({"items": [{"count": 1}, {"count": 0}]}, ("/items/1/count", "greater_than_equal")),
        ({"items": [{}]}, ("/items/0/count", "missing")),
        ({"a/b~c": "x"}, ("/a~1b~0c", "int_type")),
        ({"either": {"count": "x"}}, ("/either/count", "int_type")),
        ({"either": {}}, ("/either/count", "missing")),
    ],
)
def test_order_is_refused_at_the_place_when_the_model_has_depth(
    zammad: Client, args: dict[str, Any], found: tuple[str, str]
) -> None:
    order = {"select_tag": "nested", "callback_url": ORDER["callback_url"], **args}
    assert found in codes(zammad.post("/v1/orders", json=order))


def test_problems_are_cut_when_there_are_very_many(zammad: Client) -> None:
    order = {"select_tag": "nested", "callback_url": ORDER["callback_url"], "items": [{}] * 1000}
    found = codes(zammad.post("/v1/orders", json=order))
    assert len(found) == 101
    assert found[-1] == ("", "too_many_problems")


def test_every_problem_is_listed_when_there_are_several(zammad: Client) -> None:
    answer = zammad.post("/v1/orders", json={"callback_url": "ftp://receiver.example/"})
    assert codes(answer) == [("/select_tag", "missing"), ("/callback_url", "callback_url_refused")]


def test_callback_url_is_refused_by_rule_and_the_operator_told_how_to_open_it(
    zammad: Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = zammad.submit(callback_url="https://10.1.2.3/hook?token=hidden")
    (problem,) = answer.json["data"]["errors"]
    assert (problem["pointer"], problem["code"]) == ("/callback_url", "callback_url_refused")
    assert problem["rule"] == "private"
    assert "10.1.2.3" not in answer.text
    assert "KERNEL_CALLBACK_ALLOW_NETS" not in answer.text
    assert "KERNEL_CALLBACK_ALLOW_NETS or --callback-net: 10.1.2.3/32" in caplog.text
    assert "hidden" not in caplog.text


def test_callback_url_is_accepted_when_the_caller_was_granted_its_network(kernel: Kernel) -> None:
    itop = client(kernel, "itop", nets=["10.1.0.0/16"])
    assert itop.submit(callback_url="https://10.1.2.3/hook").status_code == 202


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("state=odd", "/state"),
        ("limit=0", "/limit"),
        ("limit=x", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("since=2026-01-01T00:00:00", "/since"),
        ("since=0001-01-01T00:00:00%2B14:00", "/since"),
        ("cursor=%F0%9F%98%80", "/cursor"),
        ("select_tag=%F0%9F%98%80", "/select_tag"),
        ("nonsense=1", "/nonsense"),
    ],
)
def test_list_is_refused_with_pointers_when_the_query_is_wrong(
    zammad: Client, query: str, pointer: str
) -> None:
    answer = zammad.get(f"/v1/orders?{query}")
    assert is_refusal(answer, 422, "invalid_query")
    assert [one["pointer"] for one in answer.json["data"]["errors"]] == [pointer]


ADDRESSES = [
    ("GET", "/v1/orders/{}"),
    ("POST", "/v1/orders/{}/cancel"),
    ("GET", "/v1/orders/{}/deliveries"),
    ("POST", "/v1/deliveries/{}/redeliver"),
]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_others_ids_answer_exactly_like_unknown_ones(
    kernel: Kernel, zammad: Client, method: str, path: str
) -> None:
    theirs = make_delivery(kernel) if "deliveries/{" in path else make_order(kernel)
    named = {"X-Request-ID": "the-same"}
    foreign = zammad.open(method, path.format(theirs), headers=named)
    unknown = zammad.open(method, path.format(UNKNOWN), headers=named)
    assert is_refusal(foreign, 404, "not_found")
    assert foreign.data.replace(theirs.encode(), UNKNOWN.encode()) == unknown.data
    assert foreign.headers == unknown.headers


@pytest.mark.parametrize("odd", ["x", "%00", "%F0%9F%98%80", "%FF", f"{UNKNOWN}%20", "a" * 3000])
@pytest.mark.parametrize(("method", "path"), ADDRESSES)
def test_ids_are_unknown_when_they_are_none(
    zammad: Client, method: str, path: str, odd: str
) -> None:
    assert is_refusal(zammad.open(method, path.format(odd)), 404, "not_found")


def test_order_is_unknown_when_its_id_is_followed_by_a_space(zammad: Client) -> None:
    order_id = zammad.submitted()
    assert zammad.get(f"/v1/orders/{order_id}%20").status_code == 404


def test_redeliver_changes_nothing_when_an_attempt_is_in_flight(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel, claim_token=UNKNOWN, attempt=1)
    assert redeliver(kernel, 1, delivery_id) is False


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/orders", "GET, HEAD, POST"),
        ("PUT", f"/v1/orders/{UNKNOWN}", "GET, HEAD"),
        ("GET", f"/v1/orders/{UNKNOWN}/cancel", "POST"),
        ("OPTIONS", "/v1/orders", "GET, HEAD, POST"),
    ],
)
def test_method_is_refused_with_405_when_the_address_has_others(
    zammad: Client, method: str, path: str, allow: str
) -> None:
    answer = zammad.open(method, path)
    assert is_refusal(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", f"/v1/orders/{UNKNOWN}/x", "/test/x", "/x"])
def test_address_answers_404_in_the_envelope_when_there_is_none(zammad: Client, path: str) -> None:
    assert is_refusal(zammad.get(path), 404, "not_found")


def test_answer_is_503_when_another_writer_holds_the_database(
    make_kernel: Any, sqlite_url: str
) -> None:
    zammad = client(make_kernel(sqlite_url, handlers))
    other = make_kernel(sqlite_url, handlers)
    with other.write_session() as session:
        session.execute(insert(SelectTag).values(tag="x", seen_at=other.clock.now()))
        answer = zammad.submit()
    assert is_refusal(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "2"


def test_answer_says_nothing_of_a_bug_when_there_is_one(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    zammad = client(kernel)
    kernel.handlers = None  # type: ignore[assignment]
    answer = zammad.submit()
    assert is_refusal(answer, 500, "internal_error")
    assert "NoneType" not in answer.text
    assert "NoneType" in caplog.text
