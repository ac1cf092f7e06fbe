"""Fairness by age, in real processes: an order whose hint was lost, behind a long queue."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from sqlalchemy import Select, func, insert, select

from kernel.builtin import handlers
from kernel.config.settings import load
from kernel.db.ids import new_id
from kernel.db.tables.orders import ORDERS
from kernel.runtime.kernel import Kernel
from kernel.worker.broker import LONG_QUEUE, Broker
from tests.support.stack import Stack
from tests.support.waiting import wait_until

T = TypeVar("T")
# Orders that wait, and over how many seconds they came.
WAITING, SECONDS = 2000, 60
# How many younger ones may begin before one that lost its hint: those that came in the five seconds
# after it, and what is worked off in two seconds. Counted, for a busy machine takes its time.
OVERTAKERS = 5 * WAITING // SECONDS + 800


@pytest.fixture
def producer(stack: Stack) -> Iterator[Kernel]:
    """What has the rows and the hints, as an API process has them."""
    given = {name: stack.settings[name] for name in ("database_url", "broker_url")}
    with closing(Kernel(load(result_backend="", **given), handlers)) as kernel:
        yield kernel


def accept(kernel: Kernel, stack: Stack, due: list[datetime]) -> list[str]:
    """Write an order that is due at each of these times; return their ids."""
    rows = [
        {
            "id": new_id(one),
            "caller_id": 1,
            "select_tag": "create_project",
            "args": '{"projname":"p"}',
            "callback_url": stack.receiver.url,
            "fingerprint": "0" * 64,
            "created_at": one,
            "run_after": one,
        }
        for one in due
    ]
    with kernel.write() as connection:
        connection.execute(insert(ORDERS), rows)
    return [str(row["id"]) for row in rows]


def ask(kernel: Kernel, query: Select[tuple[T]]) -> T | None:
    with kernel.read() as connection:
        found: T | None = connection.scalar(query)
    return found


def began(order_id: str) -> Select[tuple[datetime]]:
    """Ask when an order began."""
    return select(ORDERS.c.started_at).where(ORDERS.c.id == order_id)


def overtakers(order_id: str) -> Select[tuple[int]]:
    """Ask how many younger orders began before it."""
    one = ORDERS.alias()
    return (
        select(func.count())
        .select_from(ORDERS.join(one, one.c.id == order_id))
        .where(ORDERS.c.run_after > one.c.run_after, ORDERS.c.started_at < one.c.started_at)
    )


@pytest.mark.slow
def test_order_begins_soon_after_its_neighbours_when_its_hint_was_lost_in_a_long_queue(
    stack: Stack, producer: Kernel
) -> None:
    broker, done = Broker(producer), threading.Event()
    oldest = producer.clock.now() - timedelta(seconds=SECONDS)
    age = timedelta(seconds=SECONDS) / WAITING
    order_ids = accept(producer, stack, [oldest + n * age for n in range(WAITING)])
    lost = order_ids[WAITING // 10]
    broker.hint([one for one in order_ids if one != lost])
    assert broker.flush(30)

    def go_on() -> None:
        while not done.wait(0.1):
            broker.hint(accept(producer, stack, [producer.clock.now()] * 20))

    newer = threading.Thread(target=go_on)
    newer.start()
    try:
        stack.worker()
        wait_until(lambda: ask(producer, began(lost)), 120, "the order without a hint")
        assert (broker.backlog() or 0) >= LONG_QUEUE, "the queue was not long"
    finally:
        done.set()
        newer.join()
    overtook = ask(producer, overtakers(lost))
    assert overtook is not None
    print(f"{overtook} were first")
    assert overtook < OVERTAKERS
