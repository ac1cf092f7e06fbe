"""Many orders in one request: each is accepted or refused, in one commit, once."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from kernel.db.tables.gates import GATES
from kernel.db.tables.orders import ORDERS, REFERENCES
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.batches import ONE, ids, send, sent
from tests.support.clients import Client, client, codes, handlers, is_refusal
from tests.support.factories import rows

# More than one statement's.
COUNT = 130


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


def stored(kernel: Kernel) -> list[str]:
    return sorted(row.id for row in rows(kernel, ORDERS))


def test_all_orders_of_a_batch_run_and_are_called_back(kernel: Kernel, zammad: Client) -> None:
    named = [ONE | {"projname": f"Bridge {n}", "reference": f"INC{n}"} for n in range(COUNT)]
    data = sent(zammad, named)
    counts = (data["accepted"], data["replayed"], data["refused"], data["batch"])
    assert counts == (COUNT, 0, 0, None)
    assert ids(data) == stored(kernel)  # their ids sort as the body has them
    drain(kernel)
    assert {row.state for row in rows(kernel, ORDERS)} == {"success"}
    assert len(kernel.transport.sent) == COUNT
    named_rows = sorted(rows(kernel, REFERENCES), key=lambda row: row.order_id)
    assert [row.reference for row in named_rows] == [f"INC{n}" for n in range(COUNT)]
    found = zammad.get("/v1/orders?reference=INC17").json["data"]["orders"]
    assert [one["order_id"] for one in found] == [ids(data)[17]]


def test_each_order_of_a_batch_is_refused_alone_with_pointers(kernel: Kernel) -> None:
    zammad = client(kernel)
    orders: list[Any] = [
        ONE,
        ONE | {"projname": 1, "unknown": True},
        7,
        {"select_tag": "nested", "items": [{"count": 0}], "callback_url": "ftp://x"},
        ONE | {"idempotency_key": "\x07"},
        ONE | {"idempotency_key": 1},
        ONE | {"select_tag": "nobody's"},
        ONE,
    ]
    data = sent(zammad, orders)
    assert (data["accepted"], data["refused"]) == (2, 6)
    refused = [
        [(one["pointer"], one["code"]) for one in item["errors"]]
        for item in data["orders"]
        if "order_id" not in item
    ]
    assert refused == [
        [("/orders/1/projname", "string_type"), ("/orders/1/unknown", "unknown_member")],
        [("/orders/2", "object_type")],
        [
            ("/orders/3/items/0/count", "greater_than_equal"),
            ("/orders/3/callback_url", "callback_url_refused"),
        ],
        [("/orders/4/idempotency_key", "invalid_idempotency_key")],
        [("/orders/5/idempotency_key", "string_type")],
        [("/orders/6/select_tag", "unknown_select_tag")],
    ]
    assert [item["order_id"] for item in data["orders"] if "order_id" in item] == stored(kernel)


def test_batch_of_which_nothing_is_good_is_refused_whole(kernel: Kernel, zammad: Client) -> None:
    answer = send(zammad, [7, ONE | {"projname": 1}], "key")
    assert codes(answer) == [("/orders/0", "object_type"), ("/orders/1/projname", "string_type")]
    assert stored(kernel) == []


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/orders", "missing"),
        ({"orders": []}, "/orders", "too_short"),
        ({"orders": [1] * 1001}, "/orders", "too_long"),
        ({"orders": {}}, "/orders", "list_type"),
        ({"orders": [ONE], "more": 1}, "/more", "unknown_member"),
        ({"orders": [ONE], "batch": {"callback_url": 1}}, "/batch/callback_url", "string_type"),
        ({"orders": [ONE], "batch": {"reference": " "}}, "/batch/reference", "invalid_reference"),
        (
            {"orders": [ONE], "batch": {"callback_url": "ftp://x"}},
            "/batch/callback_url",
            "callback_url_refused",
        ),
    ],
)
def test_body_that_is_no_batch_is_refused(
    make_kernel: Callable[..., Kernel], sqlite_url: str, body: Any, pointer: str, code: str
) -> None:
    zammad = client(make_kernel(sqlite_url, handlers))
    assert codes(zammad.post("/v1/orders/batch", json=body)) == [(pointer, code)]


def test_problems_of_a_batch_are_listed_up_to_a_number(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    zammad = client(make_kernel(sqlite_url, handlers))
    wrong = {"select_tag": "nested", "items": [{}] * 90, "callback_url": None}
    data = sent(zammad, [wrong] * 30 + [ONE])
    assert [len(one["errors"]) for one in data["orders"][:-1]] == [90] * 11 + [10] + [1] * 18


def test_batch_has_a_limit_of_its_own(make_kernel: Callable[..., Kernel], sqlite_url: str) -> None:
    kernel = make_kernel(sqlite_url, handlers, max_body_bytes=1024, max_batch_bytes=4096)
    zammad = client(kernel)
    assert send(zammad, [ONE | {"prodesc": "x" * 2000}]).status_code == 202
    answer = send(zammad, [ONE | {"prodesc": "x" * 4000}])
    assert is_refusal(answer, 413, "body_too_large")
    assert answer.json["data"]["limit"] == 4096


# ---- Once ---------------------------------------------------------------------------------------


def test_batch_is_answered_as_before_when_it_is_repeated(kernel: Kernel, zammad: Client) -> None:
    orders = [ONE, 7, ONE | {"idempotency_key": "own"}, ONE | {"idempotency_key": "own"}]
    first, before = sent(zammad, orders, "whole"), stored(kernel)
    answer = send(zammad, orders, "whole")
    again = answer.json["data"]
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert (ids(again), again["batch"]) == (ids(first), first["batch"])
    assert again["orders"][1] == first["orders"][1]
    assert (first["accepted"], first["replayed"], first["refused"]) == (2, 1, 1)
    assert (again["accepted"], again["replayed"], again["refused"]) == (0, 3, 1)
    assert stored(kernel) == before
    assert is_refusal(send(zammad, [ONE], "whole"), 422, "idempotency_key_reused")
    assert is_refusal(zammad.submit("whole"), 422, "idempotency_key_reused")


def test_order_of_a_known_key_is_the_first_one(kernel: Kernel, zammad: Client) -> None:
    single = zammad.submit("a", projname="Bridge").json["data"]["order_id"]
    keyed = [ONE | {"idempotency_key": key} for key in "bac"]
    first = sent(zammad, keyed)
    assert [one["replayed"] for one in first["orders"]] == [False, True, False]
    assert ids(first)[1] == single
    other = sent(zammad, [*reversed(keyed), ONE | {"idempotency_key": "a", "projname": "Tunnel"}])
    assert ids(other) == [*reversed(ids(first)), None]
    (error,) = other["orders"][3]["errors"]
    assert (error["pointer"], error["code"]) == (
        "/orders/3/idempotency_key",
        "idempotency_key_reused",
    )
    assert len(stored(kernel)) == 3


def test_key_twice_in_a_batch_is_one_order_or_refused(kernel: Kernel, zammad: Client) -> None:
    one = ONE | {"idempotency_key": "k"}
    data = sent(zammad, [one, one, one | {"projname": "Tunnel"}, ONE | {"idempotency_key": None}])
    assert [item.get("replayed") for item in data["orders"]] == [False, True, None, False]
    assert ids(data)[0] == ids(data)[1]
    assert data["orders"][2]["errors"][0]["code"] == "idempotency_key_reused"
    assert len(stored(kernel)) == 2


def test_batches_that_race_are_one(kernel: Kernel) -> None:
    zammad = client(kernel)
    orders = [ONE | {"idempotency_key": f"{n:02d}"} for n in range(40)]

    def submit(n: int) -> Any:
        mine = list(reversed(orders)) if n % 2 else orders
        while (answer := send(zammad, mine)).status_code == 503:
            assert answer.headers["Retry-After"]
        return sorted(ids(answer.json["data"]))

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(submit, range(6)))
    assert found == [stored(kernel)] * 6
    assert len(stored(kernel)) == 40


def test_whole_batches_that_race_are_one(kernel: Kernel) -> None:
    zammad = client(kernel)

    def submit(_: int) -> Any:
        while (answer := send(zammad, [ONE] * 20, "whole")).status_code == 503:
            assert answer.headers["Retry-After"]
        return ids(answer.json["data"])

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(submit, range(6)))
    assert len({tuple(one) for one in found}) == 1
    assert len(stored(kernel)) == 21


def test_batch_is_stored_once_when_the_answer_to_its_commit_is_lost(
    kernel: Kernel, zammad: Client
) -> None:
    lost: list[int] = []

    def lose(connection: Any, *_: Any) -> None:
        if not lost:
            lost.append(1)
            connection.connection.dbapi_connection.commit()
            raise OperationalError("COMMIT", {}, passing(kernel))

    [before] = ids(sent(zammad, [ONE]))  # makes the key of links to pages, too
    event.listen(kernel.engine, "commit", lose)
    orders = [ONE | {"reference": "INC1", "not_after": "2200-01-01T00:00:00Z"}, ONE]
    orders.append(ONE | {"idempotency_key": "k"})
    while (answer := send(zammad, orders, "whole", batch={})).status_code == 503:
        assert lost == [1]  # a busy machine takes longer than a caller is kept waiting
    data = answer.json["data"]
    assert stored(kernel) == sorted([before, data["batch"]["order_id"], *ids(data)])
    assert len(rows(kernel, REFERENCES)) == 1
    assert len(rows(kernel, GATES)) == 4


def passing(kernel: Kernel) -> BaseException:
    """An error of this database's driver after which the same work may succeed."""
    if kernel.engine.dialect.name == "sqlite":
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        return error
    if kernel.engine.dialect.name == "postgresql":
        return psycopg.errors.AdminShutdown("terminating connection")
    return pymysql.err.OperationalError(2013, "Lost connection")


def test_orders_of_a_batch_take_places_of_their_ordering_keys(
    kernel: Kernel, zammad: Client
) -> None:
    sent(zammad, [ONE | {"ordering_key": "k", "idempotency_key": "0"}])
    keyed = [ONE | {"ordering_key": "k", "idempotency_key": str(n)} for n in range(3)]
    data = sent(zammad, [*keyed, ONE | {"ordering_key": "other"}, ONE], batch={})
    places = {row.order_id: row.place for row in rows(kernel, GATES) if row.place}
    assert [places.get(one) for one in ids(data)] == [1, 2, 3, 1, None]
    states = {row.id: row.state for row in rows(kernel, ORDERS)}
    waits = [states[one] for one in ids(data) if one is not None]
    assert waits == ["pending", "waiting", "waiting", "pending", "pending"]
    drain(kernel)
    assert {row.state for row in rows(kernel, ORDERS)} == {"success"}


# ---- Limits -------------------------------------------------------------------------------------


def test_batch_beyond_the_cap_is_refused_whole(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, handlers, max_pending=5, max_waiting=3)
    zammad = client(kernel)
    later = ONE | {"not_before": "2200-01-01T00:00:00Z"}
    assert is_refusal(send(zammad, [ONE] * 6), 503, "too_many_pending")
    assert is_refusal(send(zammad, [later] * 4), 503, "too_many_waiting")
    assert stored(kernel) == []
    keyed = [ONE | {"idempotency_key": str(n)} for n in range(4)]
    first = sent(zammad, [*keyed, *[later] * 3])
    assert first["accepted"] == 7
    assert is_refusal(send(zammad, [ONE] * 2), 503, "too_many_pending")
    assert ids(sent(zammad, [*keyed, ONE]))[:4] == ids(first)[:4]  # one of them is new
    assert is_refusal(send(zammad, [*keyed, ONE]), 503, "too_many_pending")


def test_orders_of_a_batch_behind_a_key_count_as_those_that_wait(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    zammad = client(make_kernel(sqlite_url, handlers, max_pending=5, max_waiting=10))
    keyed = ONE | {"ordering_key": "k"}
    assert is_refusal(send(zammad, [keyed] * 12), 503, "too_many_waiting")
    assert sent(zammad, [keyed] * 11)["accepted"] == 11, "one is pending, ten wait"
    assert is_refusal(send(zammad, [ONE]), 503, "too_many_waiting")


def test_keys_of_a_batch_have_one_pending_order_each(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    zammad = client(make_kernel(sqlite_url, handlers, max_pending=5, max_waiting=100))
    keys = [ONE | {"ordering_key": str(n % 5)} for n in range(50)]
    assert is_refusal(send(zammad, [*keys, ONE]), 503, "too_many_pending")
    assert sent(zammad, keys)["accepted"] == 50
