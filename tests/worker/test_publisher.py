"""The bounded queue that says things to a broker without anybody waiting for it."""

import os
import threading
import time

import pytest

from kernel.worker import publisher as background
from kernel.worker.publisher import BackgroundSender
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(background, "PAUSE_SECONDS", 0.01)


def test_items_arrive_in_order_when_put() -> None:
    got: list[int] = []
    sender = BackgroundSender[int]("test", got.extend)
    sender.put(range(500))
    wait_until(lambda: got == list(range(500)))


def test_put_returns_at_once_when_sending_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "CAPACITY", 50)
    released = threading.Event()
    sender = BackgroundSender[int]("test", lambda batch: released.wait(10))
    started = time.monotonic()
    sender.put(range(5000))
    assert time.monotonic() - started < 1
    released.set()


def test_batch_is_sent_again_when_sending_fails() -> None:
    got: list[int] = []
    failures = iter([OSError("down"), OSError("down")])

    def send(batch: list[int]) -> None:
        for failure in failures:
            raise failure
        got.extend(batch)

    BackgroundSender[int]("test", send).put([1, 2])
    wait_until(lambda: got == [1, 2])


def test_items_are_dropped_and_counted_when_the_queue_is_full(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "CAPACITY", 1)
    failed, up = threading.Event(), threading.Event()

    def send(batch: list[int]) -> None:
        if not up.is_set():
            failed.set()
            raise OSError("down")

    sender = BackgroundSender[int]("test", send)
    sender.put(range(100))
    assert failed.wait(10)
    sender.put(range(100))
    up.set()
    wait_until(lambda: "dropped meanwhile" in caplog.text)


def test_child_starts_a_thread_of_its_own_when_its_parent_had_one() -> None:
    reading, writing = os.pipe()
    sender = BackgroundSender[bytes](
        "test", lambda batch: os.write(writing, b"".join(batch)) and None
    )
    sender.put([b"parent"])
    assert os.read(reading, 100) == b"parent"
    if (child := os.fork()) == 0:
        sender.put([b"child"])
        time.sleep(5)  # until the parent has read it and ends this process
        os._exit(0)
    try:
        assert os.read(reading, 100) == b"child"
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
