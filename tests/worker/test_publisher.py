"""The bounded queue that sends things to a broker while no caller waits for it."""

import os
import threading
import time

import pytest

from kernel.worker.publisher import BackgroundPublisher
from tests.support.waiting import wait_until


def test_items_arrive_in_order_when_put() -> None:
    got: list[int] = []
    sender = BackgroundPublisher[int]("test", got.extend)
    sender.put(range(500))
    wait_until(lambda: got == list(range(500)))


def test_put_returns_at_once_when_sending_hangs() -> None:
    released = threading.Event()
    sender = BackgroundPublisher[int]("test", lambda batch: released.wait(10), capacity=50)
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

    BackgroundPublisher[int]("test", send, pause_seconds=0.01).put([1, 2])
    wait_until(lambda: got == [1, 2])


def test_items_are_dropped_and_counted_when_the_queue_is_full(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed, up = threading.Event(), threading.Event()

    def send(batch: list[int]) -> None:
        if not up.is_set():
            failed.set()
            raise OSError("down")

    sender = BackgroundPublisher[int]("test", send, capacity=1, pause_seconds=0.01)
    sender.put(range(100))
    assert failed.wait(10)
    sender.put(range(100))
    up.set()
    wait_until(lambda: "dropped meanwhile" in caplog.text)


def test_sending_goes_on_when_no_thread_was_to_be_had(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[int] = []
    sender = BackgroundPublisher[int]("test", got.extend)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", without_threads)
        sender.put([1])
    assert "no thread" in caplog.text
    sender.put([2])
    wait_until(lambda: got == [2])


def without_threads(_: threading.Thread) -> None:
    """What starting one does where a limit of processes is reached."""
    raise RuntimeError("no thread")


def test_child_starts_a_thread_of_its_own_when_its_parent_had_one() -> None:
    reading, writing = os.pipe()
    sender = BackgroundPublisher[bytes](
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
