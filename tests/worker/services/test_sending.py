"""When deliveries are claimed, and how many."""

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kernel.config.logging import bound
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import ATTEMPTS
from kernel.delivery.attempt import FinishedAttempt
from kernel.delivery.breakers import Target
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, Sent
from kernel.transport.client import Response
from kernel.worker.services import sending as sending_module
from kernel.worker.services.recorder import Recorder
from kernel.worker.services.sending import Sending
from kernel.worker.services.service import AT_ONCE
from tests.performance.test_costs import counting
from tests.support.factories import delivery, make_delivery, make_order, rows
from tests.support.waiting import wait_until


@pytest.fixture
def recorder(kernel: Kernel) -> Recorder:
    return Recorder(kernel, lambda: None, seconds=0.0, together=1)


@pytest.fixture
def sending(kernel: Kernel, recorder: Recorder) -> Iterator[Sending]:
    """Four senders, and claims of two."""
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
        assert sending.desk.acquire(Target(1, f"https://{n}.example:443")) == (n < 4)
    assert sending.due_at == math.inf
    for n in range(4):
        sending.desk.release(Target(1, f"https://{n}.example:443"))


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


def test_slot_is_given_back_and_no_attempt_lost_when_no_thread_comes_in_time(
    kernel: Kernel, sending: Sending, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch, math.inf)
    monkeypatch.setattr(sending_module, "WAIT_SECONDS", 0.0)
    delivery_id = make_delivery(kernel)
    sending.run()
    assert sending.is_idle
    recorder.run()
    found = delivery(kernel, delivery_id)
    assert (found.state, found.claim_token, found.tries) == ("pending", None, 0)
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
    assert not sending.desk.acquire(Target(1, "https://receiver.example:443"))


def test_callbacks_of_another_caller_go_through_when_one_callers_path_fails(
    kernel: Kernel, sending: Sending
) -> None:
    def by_path(sent: Sent) -> Response:
        status = 500 if sent.url.endswith("/bad") else 200
        return Response(status=status, headers={}, body=b"", phases={})

    def sent(path: str) -> int:
        return sum(one.url.endswith(path) for one in transport.sent)

    transport: Any = kernel.transport
    transport.answers = [by_path]
    with kernel.write_session() as session:
        session.add(Caller(id=2, name="second", created_at=kernel.clock.now()))
    for _ in range(40):
        make_delivery(kernel, url="https://receiver.example/bad")
    bad = Target(1, "https://receiver.example:443")
    while not sending.desk.breakers().open:
        sending.run()
        wait_until(lambda: sending.is_idle)
    tried = sent("/bad")
    for _ in range(5):
        make_delivery(kernel, caller_id=2, url="https://receiver.example/good")
    for _ in range(5):
        sending.run()
        wait_until(lambda: sending.is_idle)
    assert (sent("/good"), sent("/bad")) == (5, tried)
    assert sending.desk.breakers() == ([bad], [])


def test_log_lines_of_an_attempt_carry_the_reference_of_its_order(
    kernel: Kernel, sending: Sending
) -> None:
    seen = []

    def note(_: Sent) -> Response:
        seen.append(bound().get("reference"))
        return Response(status=200, headers={}, body=b"", phases={})

    transport: Any = kernel.transport
    transport.answers = [note]
    ended = {"state": "success", "finished_at": kernel.clock.now(), "message": "success"}
    make_delivery(kernel, make_order(kernel, reference="INC1", **ended))
    sending.run()
    wait_until(lambda: seen == ["INC1"])


def test_interrupted_attempt_is_recorded_once_and_due_at_once_after_its_last_try_too(
    kernel: Kernel, recorder: Recorder, sending: Sending
) -> None:
    answered = threading.Event()

    def answer(_: Sent) -> Response:
        assert answered.wait(30)
        return Response(status=200, headers={}, body=b"", phases={})

    kernel.transport.answers = [answer]  # type: ignore[attr-defined]
    sent = make_delivery(kernel, attempt=98, tries=98)
    sending.run()
    sending.interrupt()
    recorder.run()
    answered.set()
    wait_until(lambda: sending.is_idle)
    assert recorder.is_empty, "the answer comes too late"
    assert [(one.number, one.reason) for one in rows(kernel, ATTEMPTS)] == [(99, "interrupted")]
    found = delivery(kernel, sent)
    assert (found.state, found.claim_token) == ("pending", None)
    assert found.next_attempt_at <= kernel.clock.now()


def test_one_process_of_a_worker_looks_while_it_finds_nothing_due(
    kernel: Kernel, recorder: Recorder, sending: Sending
) -> None:
    sending.run()
    options = {"threads": 4, "seconds": 3600.0, "batch": 2}
    with Sending(kernel, recorder, lambda: None, **options) as other:  # type: ignore[arg-type]
        other.nothing_due = sending.nothing_due
        sent = make_delivery(kernel)
        other.run()
        assert delivery(kernel, sent).claim_token is None
        assert sending.due_at < other.due_at < time.monotonic() + 3601
        other.wake()
        other.run()
        assert delivery(kernel, sent).claim_token is not None, "it knows of one"


def test_the_process_that_found_nothing_due_looks_next_though_woken_early(
    kernel: Kernel, recorder: Recorder, sending: Sending
) -> None:
    options = {"threads": 4, "seconds": 3600.0, "batch": 2}
    with Sending(kernel, recorder, lambda: None, **options) as other:  # type: ignore[arg-type]
        other.nothing_due = sending.nothing_due
        sending.run()
        with counting(kernel) as counts:
            for one in (sending, other, sending, other):
                one.run()
        assert counts["statements"] == 2
