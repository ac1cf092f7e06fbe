"""POST and GET /v1/orders: the wire of an order, on SQLite and on MariaDB."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select

from kernel.db.tables.callers import Caller
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.views.app import create_app
from tests.support.clients import Client, FakeHints, client, handlers, new_key, serve
from tests.support.factories import CALLBACK
from tests.support.ticketing import make_receiver


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


def test_submit_answers_202_with_its_place_when_the_order_is_good(zammad: Client) -> None:
    answer = zammad.submit()
    assert answer.status_code == 202
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["status"] == 2
    order_id = answer.json["data"]["order_id"]
    assert answer.headers["Location"] == f"/v1/orders/{order_id}"
    page = zammad.get(f"/v1/orders/{order_id}").json["data"]["page"]
    data = {"order_id": order_id, "reference": None, "select_tag": "create_project"}
    assert answer.json["data"] == data | {"state": "pending", "page": page}


def test_submit_hints_after_the_commit_when_the_order_is_good(kernel: Kernel) -> None:
    hints = FakeHints()
    zammad = Client(serve(kernel, hints), new_key(kernel, "zammad"))
    assert hints.hinted == [zammad.submitted()]


def test_submit_is_one_statement_when_the_key_was_known_a_moment_ago(
    kernel: Kernel, zammad: Client
) -> None:
    zammad.submit()
    said: list[str] = []
    for engine in {kernel.engine, kernel.engines.single}:
        event.listen(engine, "before_cursor_execute", lambda *a: said.append(a[2].split()[0]))
    zammad.submit(key="once")
    assert [word for word in said if word != "BEGIN"] == ["INSERT"]


def test_order_answers_202_with_progress_when_unfinished(zammad: Client) -> None:
    answer = zammad.get(f"/v1/orders/{zammad.submitted()}")
    assert (answer.status_code, answer.json["status"]) == (202, 2)
    assert answer.headers["Retry-After"] == "1"
    data = answer.json["data"]
    assert data["progress"] == {"current": 0, "total": None, "note": None}
    assert (data["args"], data["callback_url"]) == ({"projname": "桥"}, CALLBACK)
    assert data["deliveries"] == []


def test_order_answers_200_with_its_result_when_finished(kernel: Kernel, zammad: Client) -> None:
    order_id = zammad.submitted()
    drain(kernel)
    answer = zammad.get(f"/v1/orders/{order_id}")
    assert (answer.status_code, answer.json["status"]) == (200, 0)
    assert answer.json["data"]["result"] == {"projname": "桥"}
    assert [one["state"] for one in answer.json["data"]["deliveries"]] == ["delivered"]


def test_order_answers_200_with_its_error_when_cancelled(zammad: Client) -> None:
    order_id = zammad.submitted()
    zammad.post(f"/v1/orders/{order_id}/cancel")
    answer = zammad.get(f"/v1/orders/{order_id}")
    assert (answer.status_code, answer.json["status"]) == (200, -1)
    assert answer.json["data"]["error"] == {"code": "cancelled", "message": "cancelled"}


def test_orders_are_the_callers_own_and_newest_first_when_listed(
    kernel: Kernel, zammad: Client
) -> None:
    mine = [zammad.submitted() for _ in range(3)]
    client(kernel, "itop").submit()
    data = zammad.get("/v1/orders").json["data"]
    assert [one["order_id"] for one in data["orders"]] == mine[::-1]
    assert data["next_cursor"] is None


def test_orders_come_in_pages_when_limited(zammad: Client) -> None:
    mine = [zammad.submitted() for _ in range(3)]
    first = zammad.get("/v1/orders?limit=2").json["data"]
    rest = zammad.get(f"/v1/orders?limit=2&cursor={first['next_cursor']}").json["data"]
    listed = [one["order_id"] for one in first["orders"] + rest["orders"]]
    assert listed == mine[::-1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state": "pending"}, 1),
        ({"state": "failed"}, 0),
        ({"select_tag": "create_project"}, 1),
        ({"select_tag": "other"}, 0),
        ({"since": "2020-01-01T00:00:00Z"}, 1),
        ({"since": "2020-01-01T08:00:00+08:00", "until": "2020-01-02T00:00:00Z"}, 0),
    ],
)
def test_orders_are_those_that_match_when_filtered(
    zammad: Client, query: dict[str, str], found: int
) -> None:
    zammad.submit()
    answer = zammad.get("/v1/orders", query_string=query)
    assert len(answer.json["data"]["orders"]) == found


def test_orders_leave_out_what_may_be_large_when_listed(kernel: Kernel, zammad: Client) -> None:
    zammad.submit()
    drain(kernel)
    (listed,) = zammad.get("/v1/orders").json["data"]["orders"]
    assert listed["state"] == "success"
    assert not {"args", "result"} & set(listed)


def test_order_is_cancelled_at_once_when_pending(kernel: Kernel) -> None:
    hints = FakeHints()
    zammad = Client(serve(kernel, hints), new_key(kernel, "zammad"))
    order_id = zammad.submitted()
    answer = zammad.post(f"/v1/orders/{order_id}/cancel")
    assert (answer.status_code, answer.json["data"]["state"]) == (200, "cancelled")
    assert [ended for ended, _ in hints.ended] == [order_id]
    drain(kernel)
    assert kernel.transport.sent[0].json()["data"]["error"]["code"] == "cancelled"


def test_cancel_answers_409_when_the_order_has_ended(kernel: Kernel, zammad: Client) -> None:
    order_id = zammad.submitted()
    drain(kernel)
    answer = zammad.post(f"/v1/orders/{order_id}/cancel")
    assert (answer.status_code, answer.json["data"]["code"]) == (409, "conflict")
    assert answer.json["data"]["state"] == "success"


def test_deliveries_show_every_attempt_when_asked(kernel: Kernel, zammad: Client) -> None:
    kernel.transport.answers[:] = [503, 200]
    order_id = zammad.submitted()
    drain(kernel)
    kernel.clock.shift(3600)
    drain(kernel)
    answer = zammad.get(f"/v1/orders/{order_id}/deliveries")
    (delivery,) = answer.json["data"]["deliveries"]
    assert (delivery["state"], delivery["attempt_count"]) == ("delivered", 2)
    shown = [(one["number"], one["status"], one["reason"]) for one in delivery["attempts"]]
    assert shown == [(1, 503, "http_5xx"), (2, 200, None)]


def test_delivery_is_sent_again_when_redelivered(kernel: Kernel, zammad: Client) -> None:
    order_id = zammad.submitted()
    drain(kernel)
    (delivery,) = zammad.get(f"/v1/orders/{order_id}").json["data"]["deliveries"]
    answer = zammad.post(f"/v1/deliveries/{delivery['delivery_id']}/redeliver")
    assert (answer.status_code, answer.json["data"]["redelivered"]) == (202, True)
    drain(kernel)
    first, second = kernel.transport.sent
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


def test_delivery_is_sent_in_the_current_shape_when_that_is_asked_for(
    kernel: Kernel, zammad: Client
) -> None:
    order_id = zammad.submitted()
    drain(kernel)
    (delivery,) = zammad.get(f"/v1/orders/{order_id}").json["data"]["deliveries"]
    with kernel.read_session() as session:
        caller_id = session.scalars(select(Caller.id).where(Caller.name == "zammad")).one()
    make_receiver(kernel, "own", CALLBACK, caller_id=caller_id, shape={"method": "PATCH"})
    for query, method in (("", "POST"), ("?with_current_shape=true", "PATCH")):
        answer = zammad.post(f"/v1/deliveries/{delivery['delivery_id']}/redeliver{query}")
        assert answer.json["data"]["redelivered"]
        drain(kernel)
        assert kernel.transport.sent[-1].method == method
    refused = zammad.post(f"/v1/deliveries/{order_id}/redeliver?with_current_shape=perhaps")
    assert refused.status_code == 422


def test_submit_answers_fast_when_the_broker_is_down(make_kernel: Any, sqlite_url: str) -> None:
    kernel = make_kernel(sqlite_url, handlers, broker_url="redis://127.0.0.1:1/1")
    zammad = Client(create_app(kernel), new_key(kernel, "zammad"))
    zammad.submit()
    started = time.monotonic()
    assert zammad.submit().status_code == 202
    assert time.monotonic() - started < 0.2
