"""What a process takes for its limits before it has read what people have set."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from kernel.orders.gates.limits.known import limits
from kernel.runtime.kernel import Kernel
from kernel.testing import order
from tests.orders.limits.test_concurrency import begin, handlers
from tests.support.factories import order as stored

Reads = Callable[[], Iterator[Connection]]


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


def test_limits_hold_when_the_first_read_of_them_is_refused(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [order(kernel, "one") for _ in range(2)]
    error = OperationalError("SELECT", {}, Exception(1040, "Too many connections"))
    with monkeypatch.context() as refused:
        refused.setattr(kernel, "read", _raising(error))
        with pytest.raises(OperationalError):
            begin(kernel, ids[0])
    assert [begin(kernel, one) for one in ids] == [True, False]
    assert stored(kernel, ids[1]).state == "waiting"


def _raising(error: Exception) -> Reads:
    @contextmanager
    def read() -> Iterator[Connection]:
        raise error
        yield

    return read  # type: ignore[return-value]


def test_limits_hold_for_a_thread_that_asks_while_another_reads_them_first(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, goes_on = threading.Event(), threading.Event()
    plain, firsts = kernel.read, [True]

    @contextmanager
    def slow_at_first() -> Iterator[Connection]:
        if firsts:
            firsts.pop()
            reading.set()
            assert goes_on.wait(30)
        with plain() as connection:
            yield connection

    monkeypatch.setattr(kernel, "read", slow_at_first)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(limits, kernel)
        assert reading.wait(30)
        try:
            assert limits(kernel).of("one") is not None
        finally:
            goes_on.set()
        assert first.result(30).of("one") is not None
