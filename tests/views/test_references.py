"""References over HTTP: the member, the header, the list, and the old addresses."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from kernel.db.tables.orders import REFERENCES
from kernel.runtime.kernel import Kernel
from tests.support.clients import ORDER, Client, client
from tests.support.factories import rows


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


@pytest.fixture
def caller(kernel: Kernel) -> Client:
    return client(kernel)


def submitted(caller: Client, header: str | None = None, **members: Any) -> Any:
    headers = {} if header is None else {"X-Reference": header}
    return caller.post("/v1/orders", json=ORDER | members, headers=headers)


def test_reference_stands_in_every_answer(caller: Client) -> None:
    accepted = submitted(caller, reference="INC1").json["data"]
    shown = caller.get(f"/v1/orders/{accepted['order_id']}").json["data"]
    (listed,) = caller.get("/v1/orders").json["data"]["orders"]
    assert [one["reference"] for one in (accepted, shown, listed)] == ["INC1"] * 3
    assert "reference" not in shown["args"]


def test_reference_is_null_when_there_is_none(caller: Client) -> None:
    accepted = submitted(caller).json["data"]
    assert accepted["reference"] is None
    assert caller.get(f"/v1/orders/{accepted['order_id']}").json["data"]["reference"] is None


@pytest.mark.parametrize(
    ("header", "reference"),
    [
        ("INC1", "INC1"),
        ("工单".encode().decode("latin-1"), "工单"),
        ("caf\xe9", "café"),
        ("", None),
    ],
)
def test_header_serves_when_the_body_has_none(
    caller: Client, header: str, reference: str | None
) -> None:
    assert submitted(caller, header).json["data"]["reference"] == reference


def test_header_is_refused_when_it_can_be_none(caller: Client) -> None:
    answer = submitted(caller, "x" * 256)
    (wrong,) = answer.json["data"]["errors"]
    assert (answer.status_code, wrong["code"]) == (422, "invalid_reference")


def test_list_is_filtered_by_reference(caller: Client) -> None:
    wanted = [submitted(caller, reference="INC 1").json["data"]["order_id"] for _ in range(3)]
    submitted(caller, reference="INC 10")
    first = caller.get("/v1/orders?reference=INC%201&limit=2").json["data"]
    cursor = first["next_cursor"]
    rest = caller.get(f"/v1/orders?reference=INC%201&cursor={cursor}").json["data"]
    found = [one["order_id"] for page in (first, rest) for one in page["orders"]]
    assert found == wanted[::-1]
    assert caller.get("/v1/orders?reference=%20x").status_code == 422


def test_old_address_takes_the_header_and_answers_as_before(
    kernel: Kernel, caller: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = json.dumps(ORDER | {"prodesc": ""}).encode()
    answer = caller.post("/test/add/", data=body, headers={"X-Reference": "INC1"})
    assert "reference" not in answer.json["data"]
    (stored,) = rows(kernel, REFERENCES)
    assert stored.reference == "INC1"
    (line,) = [one for one in caplog.records if one.getMessage() == "order accepted"]
    assert vars(line)["reference"] == "INC1"
