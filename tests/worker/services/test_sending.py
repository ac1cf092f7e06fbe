"""When deliveries are claimed, and how many."""

import math
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
from tests.support.factories import make_delivery
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
        assert sending.desk.take(f"https://{n}.example:443") == (n < 4)
    assert sending.due_at == math.inf
    for n in range(4):
        sending.desk.give_back(f"https://{n}.example:443")


def test_sender_is_free_again_when_an_attempt_failed_by_a_bug(
    kernel: Kernel, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> FinishedAttempt:
        raise ZeroDivisionError

    monkeypatch.setattr(sending_module, "attempt", fail)
    make_delivery(kernel)
    sending.run()
    wait_until(lambda: sending.is_idle)


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
    assert not sending.desk.take("https://receiver.example:443")
