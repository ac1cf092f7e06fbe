"""How long a hint lingers: hardly while each comes alone, and for others of its burst."""

import statistics
import time
from collections.abc import Callable

import pytest

from kernel.runtime.kernel import Kernel
from kernel.worker.broker import HINTS_SECONDS, Broker
from tests.support.servers import Redis

MakeKernel = Callable[..., Kernel]


class Queue:
    """A broker's way in, and the queue that a worker would take the messages from."""

    def __init__(self, kernel: Kernel, redis: Redis) -> None:
        self._broker = Broker(kernel)
        self._redis = redis.client(1)
        self._redis.flushdb()
        self._broker.hint(["first"])
        assert self._broker.flush(10)
        (self._name,) = self._redis.keys("orders.*")
        self.take()

    def hint(self, *order_ids: str) -> float:
        """Hint orders; return the seconds until a message is there for a worker that waits."""
        began = time.monotonic()
        self._broker.hint(order_ids)
        self.take()
        return time.monotonic() - began

    def take(self) -> None:
        """Wait for a message and take it."""
        assert self._redis.brpop(self._name, 10)


@pytest.fixture
def queue(make_kernel: MakeKernel, sqlite_url: str, redis: Redis) -> Queue:
    """A queue in Redis database 1, in which nothing is."""
    return Queue(make_kernel(sqlite_url, broker_url=redis.url(1), result_backend=""), redis)


def test_hint_does_not_linger_when_each_comes_alone(queue: Queue) -> None:
    took = []
    for number in range(30):
        time.sleep(HINTS_SECONDS / 2)  # the pace of orders that come one by one
        took.append(queue.hint(str(number)))
    assert statistics.median(took) < HINTS_SECONDS / 4


def test_hint_lingers_for_others_when_the_last_trip_carried_several(queue: Queue) -> None:
    took = []
    for number in range(10):
        queue.hint(f"one of two, {number}", f"the other, {number}")
        queue.take()
        took.append(queue.hint(f"after them, {number}"))
    assert statistics.median(took) > HINTS_SECONDS / 2
