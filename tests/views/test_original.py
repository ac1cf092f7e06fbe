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


def test_add_answers_pending_to_the_letter(kernel: Kernel) -> None:
    hints = FakeHints()
    answer = add(Client(serve(kernel, hints), None))
    assert answer.status_code == 200
    assert answer.json == {
        "status": 2,
        "msg": "devops系统添加项目工单任务执行中--pending--",
        "data": {"项目中文名称": "智慧园区"},
    }
    assert [answer.headers["X-Order-Id"]] == hints.hinted


def test_add_is_called_back_in_chinese_when_the_order_ran(kernel: Kernel, nobody: Client) -> None:
    add(nobody)
    drain(kernel)
    sent = kernel.transport.sent[0].json()
    assert (sent["status"], sent["msg"]) == (0, "成功")
    assert sent["data"]["result"] == {"projname": "智慧园区"}


def test_add_is_called_back_failed_to_the_letter(kernel: Kernel, nobody: Client) -> None:
    add(nobody, projname="  ")
    drain(kernel)
    sent = kernel.transport.sent[0].json()
    assert (sent["status"], sent["msg"]) == (-1, "失败")
    reason = "a project needs a name that is not blank"
    assert sent["data"]["error"] == {"code": "blank_name", "message": reason}


def test_cancelled_order_is_called_back_failed(kernel: Kernel, nobody: Client) -> None:
    order_id = add(nobody).headers["X-Order-Id"]
    assert nobody.post(f"/v1/orders/{order_id}/cancel").status_code == 200
    drain(kernel)
    sent = kernel.transport.sent[0].json()
    assert (sent["status"], sent["msg"], sent["data"]["state"]) == (-1, "失败", "cancelled")


def test_orders_of_the_api_are_told_the_reason_as_before(kernel: Kernel, nobody: Client) -> None:
    order = OLD | {"callback_url": ORDER["callback_url"], "projname": "  "}
    assert nobody.post("/v1/orders", json=order).status_code == 202
    drain(kernel)
    assert kernel.transport.sent[0].json()["msg"] == "a project needs a name that is not blank"


BAD_FORM = "获取表单数据异常,异常原因:"
NO_TAG = "获取表单需求标识select_tag异常,异常原因:"
NOT_ACCEPTED = "执行异步celery任务异常,异常原因:"


def body(**members: Any) -> bytes:
    """An order of the original's client, without what is given as None."""
    order = OLD | {"callback_url": ORDER["callback_url"]} | members
    return json.dumps({name: one for name, one in order.items() if one is not None}).encode()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", BAD_FORM),
        (b"projname=a&prodesc=b", BAD_FORM),
        (b"[]", BAD_FORM),
        (b'{"select_tag": "create_project"', BAD_FORM),
        (b" " * 2_000_000, BAD_FORM),
        (b"{}", NO_TAG),
        (body(select_tag=None), NO_TAG),
        (body(select_tag=""), NO_TAG),
        (body(select_tag="no such tag"), NOT_ACCEPTED + "select_tag: "),
        (body(select_tag=7), NOT_ACCEPTED + "select_tag: "),
        (body(projname=""), NOT_ACCEPTED + "projname: "),
        (body(projname=None), NOT_ACCEPTED + "projname: "),
        (body(prodesc=None), NOT_ACCEPTED + "prodesc: "),
        (body(callback_url=None), NOT_ACCEPTED + "callback_url: "),
        (body(callback_url="http://10.0.0.1/"), NOT_ACCEPTED + "callback_url: "),
    ],
)
def test_add_refuses_to_the_letter(nobody: Client, sent: bytes, said: str) -> None:
    answer = nobody.post("/test/add/", data=sent)
    assert answer.status_code == 200
    assert list(answer.json) == ["status", "msg", "data"]
    assert (answer.json["status"], answer.json["data"]) == (-1, {})
    assert answer.json["msg"].startswith(said)
    assert len(answer.json["msg"]) > len(said)
    assert "X-Order-Id" not in answer.headers


def test_add_names_all_that_is_wrong_with_a_project(nobody: Client) -> None:
    said = nobody.post("/test/add/", data=b'{"select_tag": "create_project"}').json["msg"]
    named = [one.partition(": ")[0] for one in said.removeprefix(NOT_ACCEPTED).split("; ")]
    assert sorted(named) == ["callback_url", "prodesc", "projname"]


def test_add_refuses_a_key_that_named_another_order(nobody: Client) -> None:
    key = {"X-Zammad-Delivery": "one"}
    nobody.post("/test/add/", data=body(), headers=key)
    other = nobody.post("/test/add/", data=body(projname="other"), headers=key)
    assert other.json == {"status": -1, "msg": NOT_ACCEPTED + "幂等键已用于不同的请求", "data": {}}


def test_project_needs_no_description_at_the_api(nobody: Client) -> None:
    headers = {"Content-Type": "application/json"}
    assert nobody.post("/v1/orders", data=body(prodesc=None), headers=headers).status_code == 202


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
    assert first.headers["X-Order-Id"] == second.headers["X-Order-Id"]


def test_add_moves_to_its_slash_when_asked_without(nobody: Client) -> None:
    assert nobody.post("/test/add", json=OLD).headers["Location"].endswith("/test/add/")


def test_add_answers_other_tags_without_a_projects_name(nobody: Client) -> None:
    assert add(nobody, select_tag="anything").json["data"] == {}


def test_add_speaks_english_where_the_service_does(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    nobody = Client(serve(make_kernel(sqlite_url, handlers, auth="off")), None)
    assert add(nobody).json["msg"] == "pending"
    refused = nobody.post("/test/add/", data=b"{}").json["msg"]
    assert refused.startswith("the form has no select_tag: ")


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b'{"status": 0,\n "msg":"\xe6\x88\x90"}', "application/json"),
        (b'[1, "a"]', "application/json"),
        (b'{"a": 1, "a": 2}', "application/json"),
        (b"NaN", "application/octet-stream"),
        ("成功".encode(), "application/octet-stream"),
        (b"", "application/octet-stream"),
        (b"\xff\x00", "application/octet-stream"),
        (b"[" * 100_000, "application/octet-stream"),
        (b"<script>alert(1)</script>", "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("came_as", ["text/html", "application/json", "image/svg+xml", None])
def test_callback_logs_and_answers_the_very_bytes(
    nobody: Client,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    kind: str,
    came_as: str | None,
) -> None:
    caplog.set_level(logging.INFO)
    answer = nobody.post("/test/callback/", data=sent, content_type=came_as)
    assert (answer.status_code, answer.data) == (200, sent)
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    said = json.dumps(sent.decode("utf-8", "replace")[:1000], ensure_ascii=False)
    assert f"callback received: {said}" in caplog.messages


def test_callback_echoes_the_query_when_it_is_a_get(nobody: Client) -> None:
    assert nobody.get("/test/callback/?a=1&b=桥").json == {"a": "1", "b": "桥"}


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
