"""What an order costs in a batch, beside what it costs alone: statements, and CPU in one run."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from kernel.runtime.kernel import Kernel
from tests.performance.test_costs import counting
from tests.support.clients import ORDER, Client, client

# As often as that is an order of a batch cheaper than a single one; measured are 12 to 20.
TIMES = 10
# Milliseconds of CPU for an order of a batch, on an idle machine 0.04 to 0.1.
MOST = 0.5


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    found = client(kernel)
    found.submitted()
    assert send(found, 2) == 2
    return found


def send(by: Client, count: int, **batch: Any) -> int:
    answer = by.post("/v1/orders/batch", json={"orders": [ORDER] * count} | batch)
    assert answer.status_code == 202, answer.text
    return int(answer.json["data"]["accepted"])


def cpu(work: Callable[[], object]) -> float:
    """Milliseconds of this process's CPU: what else runs on the machine does not count."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


def test_order_of_a_batch_costs_a_tenth_of_a_single_one(kernel: Kernel, zammad: Client) -> None:
    # In turn, and as often: the least of many is of a quieter moment than the least of two.
    rounds = [
        (cpu(zammad.submitted), cpu(lambda: send(zammad, 1)), cpu(lambda: send(zammad, 1000)))
        for _ in range(8)
    ]
    single, one, whole = map(min, zip(*rounds, strict=True))
    assert whole / 1000 < single / TIMES
    assert (whole - one) / 999 < MOST


def test_batch_is_few_statements_and_one_commit(kernel: Kernel, zammad: Client) -> None:
    # The key of the caller is held, and the orders are stored.
    with counting(kernel) as bare:
        send(zammad, 100)
    with counting(kernel) as whole:
        send(zammad, 100, batch={})
    assert dict(bare) == {"statements": 2, "commits": 1, "rollbacks": 0}
    # The batch's own row, that of its wait, and those that make its orders children.
    assert dict(whole) == {"statements": 5, "commits": 1, "rollbacks": 0}
