"""The batch itself, an order: it ends, with one callback, when all of its orders have ended."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from kernel.db.tables.orders import ORDERS, SNAPSHOT, OrderSnapshot
from kernel.orders.ends.outbox import ending
from kernel.orders.transitions import end_order
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.worker.maintenance.sweep import sweep
from tests.support.batches import ONE, ids, sent
from tests.support.clients import Client, client, handlers
from tests.support.factories import order

DONE = "https://receiver.example/done"


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


def told(kernel: Kernel, url: str = DONE) -> list[Any]:
    """What callbacks to ``url`` said."""
    return [one.json() for one in kernel.transport.sent if one.url == url]


def test_batch_is_called_back_once_when_all_its_orders_have_ended(
    kernel: Kernel, zammad: Client
) -> None:
    quiet = ONE | {"callback_url": None}
    orders = [quiet, quiet, quiet | {"projname": " "}]
    data = sent(zammad, orders, batch={"callback_url": DONE, "reference": "MAIN1"})
    first, second, _ = ids(data)
    for order_id in (first, second):
        assert execute(kernel, str(order_id)) is not None
    assert told(kernel) == []
    assert order(kernel, data["batch"]["order_id"]).state == "waiting"
    assert drain(kernel) == 2
    (said,) = told(kernel)
    assert (said["status"], said["data"]["reference"]) == (1, "MAIN1")
    assert said["data"]["order_id"] == data["batch"]["order_id"]
    assert said["data"]["result"] == {"orders": 3, "success": 2, "failed": 1}
    assert said["msg"] == "1 of 3 orders did not succeed"
    drain(kernel)
    assert len(kernel.transport.sent) == 1


def test_batch_has_succeeded_when_each_of_its_orders_has(kernel: Kernel, zammad: Client) -> None:
    batch = sent(zammad, [ONE, ONE], "whole")["batch"]["order_id"]
    drain(kernel)
    found = order(kernel, batch)
    assert (found.state, found.result) == ("success", '{"orders":2,"success":2}')
    assert len(kernel.transport.sent) == 2  # of its orders


def test_batch_of_orders_that_were_accepted_before_ends_at_once(
    kernel: Kernel, zammad: Client
) -> None:
    keyed = [ONE | {"idempotency_key": "k"}]
    sent(zammad, keyed)
    batch = sent(zammad, keyed, batch={"callback_url": DONE})["batch"]["order_id"]
    assert order(kernel, batch).state == "success"


def test_sweep_ends_a_batch_whose_last_order_ended_unseen(kernel: Kernel, zammad: Client) -> None:
    data = sent(zammad, [ONE], batch={})
    with kernel.write_session() as session:
        (child,) = session.execute(select(*SNAPSHOT).where(ORDERS.c.state == "pending"))
        end_order(kernel, session, OrderSnapshot(*child), ending(kernel, "cancelled"))
    assert order(kernel, data["batch"]["order_id"]).state == "waiting"
    assert data["batch"]["order_id"] in sweep(kernel, rescue=False).failed
    assert order(kernel, data["batch"]["order_id"]).state == "warning"


def test_batch_ends_once_when_its_last_orders_end_together(kernel: Kernel) -> None:
    zammad = client(kernel)
    for _ in range(3):
        data = sent(zammad, [ONE | {"callback_url": None}] * 3, batch={"callback_url": DONE})
        with ThreadPoolExecutor(3) as threads:
            ends = list(threads.map(lambda one: execute(kernel, str(one)), ids(data)))
        assert [end is not None and end.outcome is not None for end in ends] == [True] * 3
        parents = [end.parent for end in ends if end is not None and end.parent is not None]
        assert [one.order_id for one in parents] == [data["batch"]["order_id"]]
        assert order(kernel, data["batch"]["order_id"]).state == "success"
