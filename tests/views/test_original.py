"""The original system's own addresses, for the clients it already has."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import (
    ORDER,
    Client,
    FakeHints,
    client,
    handlers,
    is_refusal,
    new_key,
    serve,
)

OLD = {"select_tag": "create_project", "projname": "智慧园区", "prodesc": "一期"}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers, language="zh", auth="off")


@pytest.fixture
def nobody(kernel: Kernel) -> Client:
    return Client(serve(kernel), None)


def add(who: Client, **members: Any) -> Any:
    """Submit as the original's clients do: without saying what content it is."""
    order = OLD | {"callback_url": ORDER["callback_url"]} | members
    return who.post("/test/add/", data=json.dumps(order, ensure_ascii=False).encode())


def test_add_answers_200_pending_with_the_projects_name(kernel: Kernel) -> None:
    hints = FakeHints()
    answer = add(Client(serve(kernel, hints), None))
    assert (answer.status_code, answer.json["status"]) == (200, 2)
    assert answer.json["msg"] == "等待执行"
    (order_id,) = hints.hinted
    assert answer.json["data"] == {"项目中文名称": "智慧园区", "order_id": order_id}


def test_add_is_called_back_in_chinese_when_the_order_ran(kernel: Kernel, nobody: Client) -> None:
    add(nobody)
    drain(kernel)
    sent = kernel.transport.sent[0].json()
    assert (sent["status"], sent["msg"]) == (0, "成功")
    assert sent["data"]["result"] == {"projname": "智慧园区"}


def test_add_answers_200_refused_when_the_order_is_wrong(nobody: Client) -> None:
    answer = add(nobody, projname="")
    assert is_refusal(answer, 200, "invalid_order")
    assert answer.json["msg"] == "参数错误"
    assert answer.json["data"]["errors"][0]["pointer"] == "/projname"


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "invalid_json"), (b"[]", "invalid_json"), (b" " * 2_000_000, "body_too_large")],
)
def test_add_answers_200_refused_when_the_body_is_no_order(
    nobody: Client, body: bytes, code: str
) -> None:
    assert is_refusal(nobody.post("/test/add/", data=body), 200, code)


def test_add_answers_503_when_another_writer_holds_the_database(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    nobody = Client(serve(make_kernel(sqlite_url, handlers, auth="off")), None)
    other = make_kernel(sqlite_url)
    with other.write_session() as session:
        session.connection()
        answer = add(nobody)
    assert is_refusal(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "2"


def test_add_returns_the_first_order_when_it_is_repeated_under_a_key(nobody: Client) -> None:
    order = json.dumps(OLD | {"callback_url": ORDER["callback_url"]})
    key = {"X-Zammad-Delivery": "one"}
    first, second = (nobody.post("/test/add/", data=order, headers=key) for _ in range(2))
    assert first.json == second.json


def test_add_moves_to_its_slash_when_asked_without(nobody: Client) -> None:
    assert nobody.post("/test/add", json=OLD).headers["Location"].endswith("/test/add/")


def test_add_answers_other_tags_without_a_projects_name(nobody: Client) -> None:
    answer = add(nobody, select_tag="anything")
    assert list(answer.json["data"]) == ["order_id"]


@pytest.mark.parametrize(
    ("body", "got"), [(b'{"status": 0}', {"status": 0}), ("成功".encode(), "成功"), (b"\xff", "�")]
)
def test_callback_logs_and_echoes_what_was_posted(
    nobody: Client, caplog: pytest.LogCaptureFixture, body: bytes, got: Any
) -> None:
    caplog.set_level(logging.INFO)
    answer = nobody.post("/test/callback/", data=body)
    assert (answer.status_code, answer.json["msg"]) == (200, "成功")
    assert answer.json["data"] == got
    assert f"callback received: {json.dumps(got, ensure_ascii=False)}" in caplog.messages


def test_callback_echoes_the_query_when_it_is_a_get(nobody: Client) -> None:
    assert nobody.get("/test/callback/?a=1&b=桥").json["data"] == {"a": "1", "b": "桥"}


def test_addresses_ask_for_a_key_when_auth_is_required(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, handlers)
    nobody = Client(serve(kernel), None)
    assert is_refusal(add(nobody), 401, "unauthenticated")
    assert is_refusal(nobody.get("/test/callback/"), 401, "unauthenticated")
    assert add(client(kernel)).json["status"] == 2


def test_callback_accepts_a_key_when_the_request_is_not_of_this_host(kernel: Kernel) -> None:
    far = {"REMOTE_ADDR": "10.1.2.3"}
    zammad = Client(serve(kernel), new_key(kernel, "zammad"))
    assert zammad.post("/test/callback/", json={}, environ_overrides=far).status_code == 200
