"""One bad receiver harms nobody else; two dispatchers never share an attempt. All processes."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from kernel.db.tables.deliveries import DELIVERIES
from tests.support.factories import make_delivery, make_order
from tests.support.receiver import Answer, Exchange, Receiver, hang
from tests.support.stack import Stack
from tests.support.waiting import wait_until


@pytest.fixture
def hanging() -> Iterator[Receiver]:
    """A receiver that accepts and never answers."""
    with Receiver() as receiver:
        receiver.default = hang
        yield receiver


def states(stack: Stack) -> Counter[str]:
    """How many deliveries are in each state."""
    with stack.kernel.read_session() as session:
        query = select(DELIVERIES.c.state, func.count()).group_by(DELIVERIES.c.state)
        return Counter(dict(session.execute(query).all()))


def owe(stack: Stack, receiver: Receiver, number: int) -> None:
    """Insert so many deliveries that are due."""
    now = stack.kernel.clock.now()
    order_id = make_order(stack.kernel, state="success", finished_at=now)
    for _ in range(number):
        make_delivery(
            stack.kernel, order_id, url=receiver.url, origin=f"http://127.0.0.1:{receiver.port}"
        )


@pytest.mark.parametrize("command", ["kernel", "celery"])
def test_callback_arrives_within_a_second_when_500_others_hang(
    stack: Stack, hanging: Receiver, command: str
) -> None:
    stack.api()
    stack.worker(command)
    stack.submit("create_project", projname="warm")  # imports and connections are not the subject
    stack.receiver.wait(1, 30)
    for number in range(500):
        stack.submit("create_project", projname=f"slow {number}", callback_url=hanging.url)
    wait_until(lambda: states(stack)["pending"] == 500, 60)
    # As many as a receiver gets that has not answered yet; see `kernel.delivery.slots`.
    wait_until(lambda: len(hanging.requests) >= 4, 30)
    # The best of three: what is held up by the others is held up for fifteen seconds each time.
    assert min(seconds_to_callback(stack) for _ in range(3)) < 1.0
    assert states(stack)["pending"] >= 500


def seconds_to_callback(stack: Stack) -> float:
    """Submit an order and return how long its callback took to arrive."""
    started = time.monotonic()
    stack.callback(stack.submit("create_project", projname="quick"))
    return time.monotonic() - started


def test_dispatcher_sends_two_hundred_at_once_when_it_has_the_senders(stack: Stack) -> None:
    released = threading.Event()

    def hold(exchange: Exchange) -> None:
        released.wait(12)
        exchange.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    receivers = [Receiver() for _ in range(60)]
    for receiver in receivers:
        receiver.default = hold
        receiver.__enter__()
        owe(stack, receiver, 8)
    dispatcher = stack.start("dispatcher", "kernel", "dispatcher")
    # None has been answered, so all that have arrived are under way at once.
    wait_until(lambda: sum(len(one.requests) for one in receivers) >= 200, 30)
    released.set()
    wait_until(lambda: states(stack)["delivered"] == 480, 30)
    print("peak memory of the dispatcher:", peak_mib(dispatcher.pid), "MiB")
    for receiver in receivers:
        receiver.__exit__(None, None, None)


def peak_mib(pid: int) -> int:
    """The most memory a process has used, in MiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def test_each_delivery_is_sent_once_when_two_dispatchers_share_the_work(stack: Stack) -> None:
    owe(stack, stack.receiver, 400)
    stack.start("dispatcher", "kernel", "dispatcher")
    stack.start("dispatcher", "kernel", "dispatcher")
    wait_until(lambda: states(stack)["delivered"] == 400, 60)
    sent = Counter(one.headers["webhook-id"] for one in stack.receiver.requests)
    assert set(sent.values()) == {1}


def test_dispatcher_finishes_what_is_in_flight_when_it_is_told_to_stop(stack: Stack) -> None:
    stack.receiver.default = Answer(delay=1.5)
    owe(stack, stack.receiver, 300)
    dispatcher = stack.start("dispatcher", "kernel", "dispatcher")
    wait_until(lambda: len(stack.receiver.requests) >= 20, 30)
    os.kill(dispatcher.pid, signal.SIGTERM)
    wait_until(lambda: dispatcher.returncode is not None, 30)
    assert dispatcher.returncode == 0
    assert states(stack)["delivered"] == len(stack.receiver.requests) < 300
