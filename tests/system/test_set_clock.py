"""The database's clock is set by an hour, each way, while the whole system works."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.db.clock import read_clock
from tests.support.factories import order
from tests.support.receiver import Answer
from tests.support.servers import Redis
from tests.support.set_clock import SetClockMariaDB
from tests.support.stack import Stack
from tests.support.waiting import wait_until

HOUR = 3600
# Far less than an hour, and long for two busy cores.
PROMPT = 20.0
SETTINGS: dict[str, Any] = {
    "handlers": "tests.support.handlers.misbehaving:handlers",
    "lease_seconds": 4,
    "callback_schedule": "8",
}


@pytest.fixture(scope="module")
def server() -> Iterator[SetClockMariaDB]:
    """A MariaDB of this file's own."""
    server = SetClockMariaDB()
    server.start()
    yield server
    server.close()


@pytest.fixture
def stack(tmp_path: Path, server: SetClockMariaDB, redis: Redis) -> Iterator[Stack]:
    """A stack on that server, whose clock is right when the test begins."""
    server.set_clock(0)
    with Stack(tmp_path, server.create_database(), redis, **SETTINGS) as built:
        yield built


def calls(stack: Stack) -> Counter[str]:
    """How often each order's callback was received."""
    bodies = [json.loads(request.body) for request in list(stack.receiver.requests)]
    return Counter(body["data"]["order_id"] for body in bodies)


def clock_is_set(stack: Stack, server: SetClockMariaDB, seconds: int) -> None:
    """Set the database's clock; the time it tells is far off afterwards."""
    server.set_clock(seconds)
    off = read_clock(stack.kernel.engine).timestamp() - time.time()
    assert abs(off - seconds) < 60


def test_order_stays_with_its_worker_when_the_clock_is_set_forward(
    stack: Stack, server: SetClockMariaDB
) -> None:
    stack.api()
    stack.worker()
    order_id = stack.submit("silent", name="14")  # its lease is renewed between sweeps alone
    wait_until(lambda: stack.show(order_id)["state"] == "running")
    may_rescue = time.monotonic() + SETTINGS["lease_seconds"] + 2
    wait_until(lambda: time.monotonic() > may_rescue)
    for hours in (1, 2, 3):
        clock_is_set(stack, server, hours * HOUR)
        time.sleep(1)  # a sweep, which may come before the lease is renewed
    assert stack.show(order_id)["state"] == "running"
    assert stack.finished(order_id)["result"] == {"run": 1}


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forward", "back"])
def test_orders_run_promptly_and_callbacks_go_once_when_the_clock_is_set(
    stack: Stack, server: SetClockMariaDB, seconds: int
) -> None:
    stack.api()
    stack.worker()
    stack.receiver.script(Answer(200, delay=4.0))
    under_way = stack.submit("write", name="under way")
    wait_until(lambda: under_way in calls(stack))
    clock_is_set(stack, server, seconds)
    orders = [under_way, *(stack.submit("write", name=f"after{n}") for n in range(3))]
    deadline = time.monotonic() + PROMPT
    for order_id in orders:
        assert stack.finished(order_id, deadline - time.monotonic())["state"] == "success"
        stack.callback(order_id, deadline - time.monotonic())
    time.sleep(6)  # nothing comes twice: there is no condition to wait for
    assert calls(stack) == dict.fromkeys(orders, 1)


def test_what_was_put_off_while_the_clock_was_ahead_does_not_wait_for_the_hour(
    stack: Stack, server: SetClockMariaDB
) -> None:
    clock_is_set(stack, server, HOUR)
    stack.api()
    stack.worker()
    refused = stack.submit("write", name="refused")
    stack.receiver.script(Answer(500))
    wait_until(lambda: refused in calls(stack))
    put_off = stack.submit("retry_soon", name="put off")
    wait_until(lambda: order(stack.kernel, put_off).retries == 1, PROMPT)
    clock_is_set(stack, server, 0)
    assert stack.finished(put_off, PROMPT)["result"] == {"run": 2}
    wait_until(lambda: calls(stack)[refused] == 2, PROMPT)


def test_orders_run_when_the_clock_was_set_back_and_their_hints_were_lost(
    stack: Stack, server: SetClockMariaDB
) -> None:
    stack.api()
    orders = [stack.submit("write", name=f"early{n}") for n in range(3)]
    stack.redis.client(1).flushdb()
    clock_is_set(stack, server, -HOUR)
    stack.worker()
    for order_id in orders:
        assert stack.finished(order_id, PROMPT)["state"] == "success"
    assert all(stack.callback(order_id, PROMPT) for order_id in orders)
