"""How much a receiver gets: by its rate over all dispatchers, by its gate in each of them."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kernel.delivery.attempt import attempt
from kernel.delivery.breakers import ANSWERED, BREAK_AFTER, Target
from kernel.delivery.claim import claim_due, due_lanes
from kernel.delivery.outgoing.gates import pace
from kernel.delivery.outgoing.memory import memory_of
from kernel.delivery.outgoing.rate import take_turn
from kernel.delivery.slots import SenderSlots
from kernel.runtime.kernel import Kernel
from kernel.transport.backoff import NOT_ADMITTED, PutOff
from tests.support.factories import delivery
from tests.support.receiver import Answer, Exchange, Receiver
from tests.support.ticketing import attempts, make_receiver, owe, send_due
from tests.support.waiting import wait_until

HOST = "https://tickets.example:443"


@pytest.mark.parametrize("rate", [1, 2, 11, 12, 59, 60, 600, 6000])
def test_pace_lets_no_more_begin_in_any_minute_than_the_rate(rate: int) -> None:
    spacing, burst = pace(rate)
    begun, free = [], 0.0
    for now in (tick / 100 for tick in range(12_100)):
        while max(free, now) - now <= (burst - 1) * spacing + 1e-9:
            begun.append(now)
            free = max(free, now) + spacing
    most = max(sum(1 for one in begun if start <= one < start + 60) for start in begun[: rate + 1])
    assert rate * 0.8 <= most <= rate


def test_rate_holds_over_two_dispatchers(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    """Both ask at once, as fast as they can; the clock is moved on by hand."""
    dispatchers = [make_kernel(database_url) for _ in range(2)]
    receiver = make_receiver(dispatchers[0], "itsm", "https://tickets.example/", rate=120)
    begun, started = 0, time.monotonic()
    for _ in range(3):
        with ThreadPoolExecutor(2) as threads:
            asked = [threads.submit(turns, one, receiver, 30) for one in dispatchers]
            begun += sum(one.result() for one in asked)
        for one in dispatchers:
            one.clock.shift(5)
    spacing, burst = pace(120)
    least, most = 10 / spacing, (10 + time.monotonic() - started) / spacing
    assert burst + least - 2 <= begun <= burst + most + 1


def turns(kernel: Kernel, receiver_id: int, count: int) -> int:
    """Ask for turns, and return how many were had."""
    return sum(take_turn(kernel, receiver_id, pace(120)).wait == 0 for _ in range(count))


def test_delivery_waits_for_its_turn_and_loses_no_attempt(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "itsm", tickets.url, rate=1)
    owed = [owe(sender, tickets.url) for _ in range(3)]
    finished = send_due(sender)
    put_off = [one for one in finished if isinstance(one.verdict, PutOff)]
    assert (len(tickets.requests), len(put_off), len(attempts(sender))) == (1, 2, 1)
    waits = sorted(one.verdict.pause.total_seconds() for one in put_off)  # type: ignore[union-attr]
    assert waits == [pytest.approx(120, abs=5), pytest.approx(180, abs=5)]
    rows = [delivery(sender, one) for one in owed]
    assert sorted((row.state, row.tries) for row in rows) == [
        ("delivered", 1),
        ("pending", 0),
        ("pending", 0),
    ]


def test_receiver_gets_no_more_at_a_time_than_its_concurrency(
    sender: Kernel, tickets: Receiver
) -> None:
    """What it cannot have yet is put off, and its dispatcher claims no more than that from then."""
    make_receiver(sender, "itsm", tickets.url, concurrency=2)
    go, most, inside, lock = threading.Event(), [0], [0], threading.Lock()

    def busy(exchange: Exchange) -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        go.wait(10)
        with lock:
            inside[0] -= 1
        exchange.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    tickets.script(*[busy] * 6)
    for _ in range(6):
        owe(sender, tickets.url)
    claimed = claim_due(sender, dict.fromkeys(due_lanes(sender), 6)).deliveries
    with ThreadPoolExecutor(6) as threads:
        finished = [threads.submit(attempt, sender, one) for one in claimed]
        wait_until(lambda: sum(one.done() for one in finished) == 4)
        tickets.wait(2)
        go.set()
    assert sorted(str(one.result().reason) for one in finished) == ["None"] * 2 + [NOT_ADMITTED] * 4
    assert most == [2]
    target = Target(1, tickets.url[:-1])
    slots = SenderSlots(32, limits=memory_of(sender).admission)
    assert slots.room(target, time.monotonic()) == 2


def test_path_that_fails_does_not_stop_another_receiver_of_the_same_host(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "bad", tickets.url + "bad")
    make_receiver(sender, "good", tickets.url + "good")
    tickets.script(*[500] * 99, path="/bad")
    for _ in range(BREAK_AFTER + 3):
        owe(sender, tickets.url + "bad")
    finished = send_due(sender)
    told = [ANSWERED] * BREAK_AFTER + [NOT_ADMITTED] * 3
    assert [one.target_reason for one in finished] == told
    assert len([one for one in tickets.requests if one.path == "/bad"]) == BREAK_AFTER
    for _ in range(5):
        owe(sender, tickets.url + "good")
    assert [one.status for one in send_due(sender)] == [200] * 5


def test_host_that_fails_is_told_to_the_breaker_of_the_origin(sender: Kernel) -> None:
    with Receiver(tls=("tickets.example",)) as gone:
        url = gone.url
    make_receiver(sender, "itsm", url)
    owe(sender, url)
    assert [one.target_reason for one in send_due(sender)] == ["connect"]


def test_receiver_that_fails_and_times_out_by_turns_is_left_alone(
    sender: Kernel, tickets: Receiver
) -> None:
    make_receiver(sender, "itsm", tickets.url, timeout=0.3)
    tickets.script(*[500, Answer(200, delay=2.0)] * (BREAK_AFTER + 1))
    slots, target = SenderSlots(32), Target(1, tickets.url[:-1])
    reasons = []
    for _ in range(2 * BREAK_AFTER):
        owe(sender, tickets.url)
        [finished] = send_due(sender)
        slots.acquire(target)
        slots.record(target, finished.target_reason, 0.0)
        slots.release(target)
        reasons.append(finished.reason)
    assert {"http_5xx", "timeout", NOT_ADMITTED} == set(reasons)
    assert slots.room(target, 0.0) > 0  # of its timeouts alone, the last was not sent
    slots.acquire(target)
    slots.record(target, "timeout", 0.0)
    assert slots.room(target, 0.0) == 0


@pytest.mark.parametrize("url", ["receiver:gone", "receiver:elsewhere", "receiver:itsm"])
def test_host_is_not_told_of_what_was_refused_before_anything_was_sent(
    sender: Kernel, tickets: Receiver, url: str
) -> None:
    shape = {"url": tickets.url + "other/{{ reference }}"}
    make_receiver(sender, "itsm", tickets.url + "api", shape=shape)
    make_receiver(sender, "elsewhere", "https://evil.example/")
    owe(sender, url, origin=tickets.url[:-1])
    [finished] = send_due(sender)
    assert (finished.reason, finished.target_reason) == ("refused", NOT_ADMITTED)
    assert tickets.requests == []


@pytest.mark.parametrize("seconds", [60, 2**63 - 1])
def test_receiver_that_asks_for_a_pause_gets_it_for_all_its_deliveries(
    sender: Kernel, tickets: Receiver, seconds: int
) -> None:
    make_receiver(sender, "itsm", tickets.url)
    tickets.script(Answer(429, {"Retry-After": str(seconds)}))
    for _ in range(3):
        owe(sender, tickets.url)
    finished = send_due(sender)
    assert [one.reason for one in finished] == ["http_4xx", "not_admitted", "not_admitted"]
    assert len(tickets.requests) == 1


@pytest.mark.parametrize("error", [PoolTimeout(), OSError()], ids=["no connection", "a bug"])
def test_receiver_is_sent_to_again_after_its_rate_could_not_be_asked(
    sender: Kernel, tickets: Receiver, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What was not asked is not under way: it leaves the one place that the receiver has."""
    make_receiver(sender, "itsm", tickets.url, rate=600, concurrency=1)
    owe(sender, tickets.url)
    with monkeypatch.context() as broken:
        broken.setattr("kernel.delivery.outgoing.admission.take_turn", raising(error))
        [finished] = send_due(sender)
    assert (finished.reason, tickets.requests) == (
        NOT_ADMITTED if isinstance(error, PoolTimeout) else "internal",
        [],
    )
    sender.clock.shift(60)
    assert [one.reason for one in send_due(sender)] == [None]


def test_delivery_is_put_off_when_no_connection_is_free_to_make_its_claim_longer(
    sender: Kernel, tickets: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_receiver(sender, "itsm", tickets.url, timeout=100, concurrency=1)
    owe(sender, tickets.url)
    with monkeypatch.context() as broken:
        broken.setattr("kernel.delivery.outgoing.exchange.extend_claim", raising(PoolTimeout()))
        [finished] = send_due(sender)
    assert (finished.reason, tickets.requests) == (NOT_ADMITTED, [])
    sender.clock.shift(60)
    assert [one.reason for one in send_due(sender)] == [None]


def raising(error: Exception) -> Callable[..., None]:
    """Return what raises this error, of all that it may be asked."""

    def fail(*_: object) -> None:
        raise error

    return fail
