"""Ordering keys over HTTP: the member, the answers, the list, the hints, the page."""

from collections.abc import Callable
from typing import Any

import pytest

from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import Client, client, new_key, serve
from tests.support.hints import FakeHints


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


@pytest.fixture
def caller(kernel: Kernel) -> Client:
    return client(kernel)


def keyed(caller: Client, **members: Any) -> dict[str, Any]:
    answer = caller.submit(ordering_key="customer 4711", **members)
    assert answer.status_code == 202, answer.text
    data: dict[str, Any] = answer.json["data"]
    return data


def shown(caller: Client, order: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = caller.get(f"/v1/orders/{order['order_id']}").json["data"]
    return data


def test_key_and_sequence_stand_in_every_answer(kernel: Kernel, caller: Client) -> None:
    first, second, third = (keyed(caller) for _ in range(3))
    assert [one["sequence"] for one in (first, second, third)] == [1, 2, 3]
    assert first["ordering_key"] == "customer 4711"
    assert [shown(caller, one).get("position") for one in (first, second, third)] == [None, 1, 2]
    assert shown(caller, third)["sequence"] == 3
    assert "ordering_key" not in shown(caller, first)["args"]
    (newest, *_) = caller.get("/v1/orders").json["data"]["orders"]
    assert (newest["ordering_key"], newest["sequence"]) == ("customer 4711", 3)
    drain(kernel)
    assert shown(caller, third)["state"] == "success"
    assert "position" not in shown(caller, third)


def test_orders_are_listed_by_their_key_in_pages(caller: Client) -> None:
    ids = [keyed(caller)["order_id"] for _ in range(3)]
    caller.submit()
    asked = "/v1/orders?ordering_key=customer%204711&limit=2"
    first = caller.get(asked).json["data"]
    rest = caller.get(f"{asked}&cursor={first['next_cursor']}").json["data"]
    found = [one["order_id"] for page in (first, rest) for one in page["orders"]]
    assert found == ids[::-1]
    assert caller.get("/v1/orders?ordering_key=%20x").status_code == 422


def test_other_callers_see_nothing_of_a_key(kernel: Kernel, caller: Client) -> None:
    keyed(caller)
    stranger = Client(caller.app, new_key(kernel, "stranger"))
    assert keyed(stranger)["sequence"] == 1
    listed = stranger.get("/v1/orders?ordering_key=customer%204711").json["data"]["orders"]
    assert len(listed) == 1


def test_bad_key_is_refused_with_its_place(caller: Client) -> None:
    answer = caller.submit(ordering_key="x" * 256)
    (wrong,) = answer.json["data"]["errors"]
    assert (answer.status_code, wrong["pointer"]) == (422, "/ordering_key")


def test_order_is_hinted_when_it_has_its_turn(kernel: Kernel) -> None:
    hints = FakeHints()
    caller = Client(serve(kernel, hints), new_key(kernel, "acme"))
    first, second = keyed(caller), keyed(caller)
    assert hints.hinted == [first["order_id"]]
    caller.post(f"/v1/orders/{first['order_id']}/cancel")
    assert hints.hinted == [first["order_id"], second["order_id"]]
