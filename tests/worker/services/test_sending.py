"""When deliveries are claimed, and how many."""

import math
import threading
import time
from collections.abc import Iterator

import pytest

from kernel.delivery.attempt import FinishedAttempt
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, Sent
from kernel.transport.client import Response
from kernel.worker.services import sending as sending_module
from kernel.worker.services.recorder import Recorder
from kernel.worker.services.sending import Sending
from kernel.worker.services.service import AT_ONCE
from tests.support.factories import delivery, make_delivery
from tests.support.waiting import wait_until


@pytest.fixture
def sending(kernel: Kernel) -> Iterator[Sending]:
    """Four senders, and claims of two."""
    recorder = Recorder(kernel, lambda: None, seconds=0.0, together=1)
    options = {"threads": 4, "seconds": 3600.0, "batch": 2}
    with Sending(kernel, recorder, lambda: None, **options) as sending:  # type: ignore[arg-type]
        yield sending


def test_next_look_is_due_late_when_nothing_was_there_and_soon_when_woken(
    sending: Sending,
) -> None:
    assert sending.due_at <= time.monotonic()
    sending.run()
    assert sending.due_at > time.monotonic() + 3000
    sending.wake()
    assert sending.due_at <= time.monotonic()


def test_next_look_is_due_at_once_when_a_lane_may_hold_more(
    kernel: Kernel, sending: Sending
) -> None:
    for _ in range(2):
        make_delivery(kernel)
    sending.run()
    assert sending.due_at == AT_ONCE
    wait_until(lambda: sending.is_idle)
    sending.run()
    assert sending.due_at > time.monotonic() + 3000


def test_no_look_is_due_when_every_sender_is_busy(kernel: Kernel, sending: Sending) -> None:
    for n in range(4):
        assert sending.desk.acquire(f"https://{n}.example:443") == (n < 4)
    assert sending.due_at == math.inf
    for n in range(4):
        sending.desk.release(f"https://{n}.example:443")


def test_sender_is_free_again_when_an_attempt_failed_by_a_bug(
    kernel: Kernel, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> FinishedAttempt:
        raise ZeroDivisionError

    monkeypatch.setattr(sending_module, "attempt", fail)
    for _ in range(9):
        make_delivery(kernel)
    for _ in range(9):
        sending.run()
        wait_until(lambda: sending.is_idle)
    assert sending.desk.breakers() == ([], []), "nothing is held against the receiver"


def refuse_threads(monkeypatch: pytest.MonkeyPatch, times: float) -> list[str]:
    """Have the machine give no sender thread so many times; return the names that were refused."""
    start, refused = threading.Thread.start, list[str]()

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("sender") and len(refused) < times:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return refused


@pytest.mark.parametrize("times", [1, 3])
def test_every_callback_is_sent_once_when_a_thread_could_not_be_started(
    kernel: Kernel, sending: Sending, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    refused = refuse_threads(monkeypatch, times)
    for n in range(6):
        make_delivery(kernel, origin=f"https://{n % 3}.example:443")
    sent = kernel.transport.sent  # type: ignore[attr-defined]
    wait_until(lambda: sending.run() or len(sent) == 6)
    wait_until(lambda: sending.is_idle)
    assert (len(refused), len(sent), sending.desk.breakers()) == (times, 6, ([], []))


def test_sending_looks_again_soon_when_a_thread_could_not_be_started(
    kernel: Kernel, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch, math.inf)
    for n in range(4):
        make_delivery(kernel, origin=f"https://{n}.example:443")
    for _ in range(3):
        sending.run()
    assert sending.due_at <= time.monotonic() + sending_module.RETRY_SECONDS
    assert sending.desk.slots.in_flight == 2, "no more is claimed meanwhile"


def test_slot_is_given_back_when_no_thread_comes_in_time(
    kernel: Kernel, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch, math.inf)
    monkeypatch.setattr(sending_module, "WAIT_SECONDS", 0.0)
    delivery_id = make_delivery(kernel)
    sending.run()
    assert sending.is_idle
    found = delivery(kernel, delivery_id)
    assert (found.state, found.claim_token is None) == ("pending", False)
    assert sending.desk.breakers() == ([], [])


def test_sending_can_end_when_no_thread_could_be_started(
    kernel: Kernel, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch, math.inf)
    make_delivery(kernel)
    sending.run()
    assert not sending.is_idle
    sending.close()
    assert sending.is_idle


def test_attempts_under_way_go_on_when_sending_is_closed(kernel: Kernel, sending: Sending) -> None:
    def close(sent: Sent) -> Response:
        sending.close()
        return Response(200, {}, b"", {})

    transport = kernel.transport
    assert isinstance(transport, FakeTransport)
    transport.answers = [close]
    make_delivery(kernel)
    sending.run()
    wait_until(lambda: sending.is_idle)
    assert not sending.desk.acquire("https://receiver.example:443")
