"""How much a caller may ask for: requests per key, and orders that wait for a worker."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from kernel.callers import keys
from kernel.errors import ConfigurationError, TooManyPending
from kernel.orders.backpressure import COUNT_SECONDS, Pressure
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.views.app import create_app
from tests.support.clients import Client, FakeHints, client, is_refusal, new_key, serve
from tests.support.factories import make_order
from tests.support.servers import Redis
from tests.support.stack import stopped
from tests.support.waiting import wait_until

MakeKernel = Callable[..., Kernel]
TEN = {"rate_limit": "10/hour"}


@pytest.fixture
def limited(make_kernel: MakeKernel, sqlite_url: str, redis: Redis) -> Kernel:
    """A kernel that lets ten requests per key through in an hour, counted in Redis."""
    redis.client(1).flushdb()
    return make_kernel(sqlite_url, broker_url=redis.url(1), **TEN)


def statuses(zammad: Client, times: int) -> list[int]:
    return [zammad.get("/v1/orders").status_code for _ in range(times)]


def test_requests_are_not_counted_when_nothing_is_said(kernel: Kernel) -> None:
    assert set(statuses(client(kernel), 20)) == {200}


def test_request_is_refused_with_429_when_its_key_has_asked_too_often(limited: Kernel) -> None:
    zammad = client(limited)
    assert statuses(zammad, 10) == [200] * 10
    answer = zammad.submit()
    assert is_refusal(answer, 429, "too_many_requests")
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    assert answer.json["data"]["limit"] == 10


def test_limit_is_the_keys_own_when_a_caller_has_two(limited: Kernel) -> None:
    zammad = client(limited)
    with limited.write_session() as session:
        second = keys.add_key(session, "zammad", limited.clock.now(), None).api_key
    assert statuses(zammad, 11)[-1] == 429
    assert statuses(Client(zammad.app, second.get_secret_value()), 1) == [200]


def test_limit_is_one_when_processes_share_a_redis(limited: Kernel) -> None:
    zammad = client(limited)
    other_process = Client(serve(limited), None)
    other_process.headers = zammad.headers
    statuses(zammad, 5)
    assert statuses(other_process, 6) == [200] * 5 + [429]


def test_wrong_keys_are_not_counted_when_they_ask_often(limited: Kernel, redis: Redis) -> None:
    nobody = Client(serve(limited), "kwo_wrong")
    assert set(statuses(nobody, 12)) == {401}
    assert redis.client(1).keys("LIMITS*") == []


def test_key_is_not_in_redis_when_its_requests_are_counted(limited: Kernel, redis: Redis) -> None:
    zammad = client(limited)
    statuses(zammad, 1)
    (name,) = redis.client(1).keys("LIMITS*")
    assert b"key 1" in name
    assert redis.client(1).ttl(name) > 0


def test_requests_of_many_threads_count_each_for_its_own_key(limited: Kernel) -> None:
    app = serve(limited)
    clients = [Client(app, new_key(limited, f"caller{n}")) for n in range(4)]
    answers: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda one=one: answers.append(statuses(one, 10)))
        for one in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[200] * 10] * 4


def test_requests_are_neither_refused_nor_slow_when_redis_is_frozen(
    limited: Kernel, redis: Redis
) -> None:
    zammad = client(limited)
    with stopped(redis.pid):
        started = time.monotonic()
        assert statuses(zammad, 8) == [200] * 8
        assert time.monotonic() - started < 1


def test_requests_are_counted_alone_when_redis_is_down(limited: Kernel, redis: Redis) -> None:
    zammad = client(limited)
    redis.kill()
    try:
        assert statuses(zammad, 11) == [200] * 10 + [429]
    finally:
        redis.start()


def test_requests_are_counted_in_memory_when_the_broker_is_no_redis(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url, broker_url="amqp://guest@127.0.0.1:1//", **TEN)
    assert statuses(client(kernel), 11) == [200] * 10 + [429]


@pytest.mark.parametrize("rate", ["0/minute", "ten/minute", "10/fortnight", "10", "10 per minute"])
def test_rate_is_refused_when_it_is_none(
    make_kernel: MakeKernel, sqlite_url: str, rate: str
) -> None:
    with pytest.raises(ConfigurationError, match="KERNEL_RATE_LIMIT"):
        make_kernel(sqlite_url, rate_limit=rate)


# ---- Back-pressure ----------------------------------------------------------------------------


@pytest.fixture
def pressed(make_kernel: MakeKernel, database_url: str) -> Kernel:
    """A kernel that lets three orders of a caller wait."""
    return make_kernel(database_url, max_pending=3)


def test_order_is_refused_with_503_when_too_many_wait(pressed: Kernel) -> None:
    zammad = client(pressed)
    assert [zammad.submit().status_code for _ in range(4)] == [202, 202, 202, 503]
    answer = zammad.submit()
    assert is_refusal(answer, 503, "too_many_pending")
    assert (answer.headers["Retry-After"], answer.json["data"]["limit"]) == ("5", 3)
    original = zammad.post("/test/add/", json={"select_tag": "create_project"})
    assert original.json["status"] == -1


def test_window_is_no_way_around_the_limit_of_those_that_wait_for_a_worker(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    """Orders that begin in a moment are not counted as waiting for long."""
    kernel = make_kernel(sqlite_url, max_pending=3, max_waiting=1000)
    key, found = new_key(kernel, "zammad"), []
    for _ in range(5):
        soon = kernel.clock.now() + timedelta(seconds=1)
        answer = Client(serve(kernel), key).submit(not_before=soon.isoformat())
        found.append(answer.status_code)
        kernel.clock.shift(2.0)
    assert found == [202, 202, 202, 503, 503]
    assert is_refusal(answer, 503, "too_many_pending")


def test_orders_that_wait_for_their_time_have_a_limit_of_their_own(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    zammad = client(make_kernel(sqlite_url, max_pending=1, max_waiting=2))
    later = [zammad.submit(not_before="2200-01-01T00:00:00Z") for _ in range(3)]
    assert [one.status_code for one in later] == [202, 202, 503]
    assert is_refusal(later[-1], 503, "too_many_waiting")
    assert [zammad.submit().status_code for _ in range(2)] == [202, 503]


def test_repeat_is_answered_when_too_many_wait(pressed: Kernel) -> None:
    zammad = client(pressed)
    first = zammad.submit(key="first").json["data"]["order_id"]
    [zammad.submit() for _ in range(3)]
    again = zammad.submit(key="first")
    assert (again.status_code, again.json["data"]["order_id"]) == (202, first)
    assert zammad.submit(key="second").status_code == 503


def test_others_are_not_refused_when_one_caller_is(pressed: Kernel) -> None:
    [make_order(pressed) for _ in range(5)]
    app = create_app(pressed, FakeHints())
    assert Client(app, new_key(pressed, "other")).submit().status_code == 202


def test_order_is_accepted_again_when_workers_have_caught_up(pressed: Kernel) -> None:
    zammad = client(pressed)
    [zammad.submit() for _ in range(4)]
    drain(pressed)
    # A count that was slow, on a busy machine, is believed for longer than COUNT_SECONDS.
    wait_until(lambda: zammad.submit().status_code == 202, 120)


def test_nothing_is_refused_when_the_limit_is_off(make_kernel: MakeKernel, sqlite_url: str) -> None:
    kernel = make_kernel(sqlite_url, max_pending=0, max_waiting=0)
    said = statements(kernel)
    Pressure(kernel).check(1)
    assert said == []


def statements(kernel: Kernel) -> list[str]:
    """Every statement from now on."""
    said: list[str] = []
    event.listen(kernel.engines.single, "before_cursor_execute", lambda *a: said.append(a[2]))
    return said


def test_rows_are_counted_once_when_hundred_orders_are_submitted(pressed: Kernel) -> None:
    pressure, said = Pressure(pressed, lambda: 0.0), statements(pressed)
    for _ in range(100):
        pressure.check(1)
    counts = [one for one in said if "count" in one.lower()]
    assert len(counts) == 1  # of those that wait for their time, and of all that are pending
    assert all("LIMIT" in one for one in counts)


def test_rows_are_counted_by_one_thread_when_many_ask(pressed: Kernel) -> None:
    pressure, said = Pressure(pressed), statements(pressed)
    threads = [threading.Thread(target=pressure.check, args=(1,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([one for one in said if "count" in one.lower()]) == 1


def test_counting_takes_little_time_when_it_is_slow(pressed: Kernel) -> None:
    """A count that took a second is not asked for again before a minute is almost over."""
    now = [0.0]
    pressure, said = Pressure(pressed, lambda: now[0]), statements(pressed)
    event.listen(
        pressed.engines.single,
        "after_cursor_execute",
        lambda *_: now.__setitem__(0, now[0] + 1.0),
    )
    pressure.check(1)
    now[0] += 10 * COUNT_SECONDS
    pressure.check(1)
    assert len([one for one in said if "count" in one.lower()]) == 1


def test_process_counts_what_it_accepts_when_the_rows_are_not_counted_again(
    pressed: Kernel,
) -> None:
    pressure: Any = Pressure(pressed)
    pressure.check(1)
    for _ in range(3):
        pressure.accepted(1)
    with pytest.raises(TooManyPending):
        pressure.check(1)
