"""Orders that share a message, in real processes: what happens to one of them harms no other."""

import base64
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from kernel.builtin import projects
from kernel.db.tables.orders import ORDERS
from kernel.runtime.hints import MORE
from tests.support.stack import Stack, pool_process
from tests.support.waiting import wait_until

ORDERS_SENT = 120


def hinted(stack: Stack) -> list[list[str]]:
    """The orders in each message of the queue."""
    with stack.redis.client(1) as client:
        bodies = [json.loads(one)["body"] for one in client.lrange(stack.queue, 0, -1)]
    return [json.loads(base64.b64decode(body))[0] for body in bodies]


def submit(stack: Stack, numbers: range) -> None:
    """Submit an order for each number, many at once."""

    def one(number: int) -> str:
        return stack.submit("create_project", projname=f"p{number}")

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(one, numbers))


def in_state(stack: Stack, *states: str) -> int:
    """How many orders are in one of these states."""
    with stack.kernel.read_session() as session:
        query = select(func.count()).select_from(ORDERS).where(ORDERS.c.state.in_(states))
        return session.scalar(query) or 0


@pytest.mark.slow
def test_every_order_ends_once_when_they_share_messages_and_a_process_is_killed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Any queue is long with these handlers.
    monkeypatch.setenv("CHAOS_TOGETHER", "")
    stack.settings |= {"handlers": "tests.chaos.handlers:handlers", "lease_seconds": 5}
    stack.api()
    submit(stack, range(40))
    wait_until(lambda: len(hinted(stack)) > 1)
    submit(stack, range(40, ORDERS_SENT))
    wait_until(lambda: in_state(stack, "pending") == ORDERS_SENT)
    assert [MORE] in hinted(stack), "they are taken from the rows"
    worker = stack.worker()
    wait_until(lambda: in_state(stack, "success") > 10)
    os.kill(pool_process(worker), signal.SIGKILL)
    wait_until(lambda: in_state(stack, "success") == ORDERS_SENT, 60, "all orders")
    with stack.kernel.read_session() as session:
        names = sorted(session.scalars(select(projects.c.projname)))
        assert names == sorted(f"p{number}" for number in range(ORDERS_SENT))
        runs = session.execute(select(ORDERS.c.run, ORDERS.c.crashes)).all()
    assert sum(run > 1 for run, _ in runs) <= 10, "those that shared a commit, at the most"
    assert max(crashes for _, crashes in runs) <= 1, "an order that has run before runs alone"
