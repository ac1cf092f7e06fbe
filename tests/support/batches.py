"""Batches as a ticketing system sends them."""

from typing import Any

from werkzeug.test import TestResponse

from tests.support.clients import Client
from tests.support.factories import CALLBACK

ONE = {"select_tag": "create_project", "projname": "Bridge", "callback_url": CALLBACK}


def send(by: Client, orders: list[Any], key: str | None = None, **members: Any) -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    return by.post("/v1/orders/batch", json={"orders": orders} | members, headers=headers)


def sent(by: Client, orders: list[Any], key: str | None = None, **members: Any) -> Any:
    answer = send(by, orders, key, **members)
    assert answer.status_code == 202, answer.text
    return answer.json["data"]


def ids(data: Any) -> list[str | None]:
    return [one.get("order_id") for one in data["orders"]]
