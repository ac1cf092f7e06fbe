"""The single-flight cache: one thread asks, the others take the old answer or wait for the new."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from kernel.runtime.single_flight import SingleFlightCache
from tests.support.waiting import wait_until


@dataclass
class Source:
    """Counts how often it is asked, answers with the number; waits while it is held."""

    asked: int = 0
    seconds: float = 0.0
    now: float = 0.0
    error: Exception | None = None
    held: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.held.set()

    def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        self.now += self.seconds
        assert self.held.wait(10)
        if self.error is not None:
            raise self.error
        return number

    def clock(self) -> float:
        return self.now


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def asking(
    source: Source, cache: SingleFlightCache[int], pool: ThreadPoolExecutor
) -> "Future[int]":
    """Have another thread ask, and wait until it does; the source is held."""
    before = source.asked
    source.held.clear()
    asked = pool.submit(cache.get, source)
    wait_until(lambda: source.asked > before)
    return asked


def test_answer_is_kept_when_its_seconds_are_not_over(source: Source) -> None:
    cache = SingleFlightCache[int](5.0, clock=source.clock)
    assert [cache.get(source) for _ in range(3)] == [1, 1, 1]
    source.now = 4.9
    assert cache.get(source) == 1
    source.now = 5.0
    assert cache.get(source) == 2


def test_answer_is_kept_longer_when_it_took_long(source: Source) -> None:
    source.seconds = 1.0
    cache = SingleFlightCache[int](1.5, share=10, clock=source.clock)
    assert cache.get(source) == 1
    source.now += 9.9
    assert cache.get(source) == 1
    source.now += 0.2
    assert cache.get(source) == 2


def test_threads_wait_for_one_when_there_is_no_answer_yet(
    source: Source, threads: ThreadPoolExecutor
) -> None:
    cache = SingleFlightCache[int](60.0)
    first = asking(source, cache, threads)
    others = [threads.submit(cache.get, source) for _ in range(5)]
    wait_until(lambda: all(one.running() for one in others))
    source.held.set()
    assert [one.result(10) for one in (first, *others)] == [1] * 6


def test_threads_take_the_old_answer_when_one_asks_again(
    source: Source, threads: ThreadPoolExecutor
) -> None:
    cache = SingleFlightCache[int](1.0, clock=source.clock)
    cache.get(source)
    source.now = 2.0
    first = asking(source, cache, threads)
    assert cache.get(source) == 1
    source.held.set()
    assert first.result(10) == cache.get(source) == 2


def test_threads_wait_for_the_new_answer_when_the_old_one_is_not_served(
    source: Source, threads: ThreadPoolExecutor
) -> None:
    cache = SingleFlightCache[int](1.0, serves_old=False, clock=source.clock)
    cache.get(source)
    source.now = 2.0
    first = asking(source, cache, threads)
    second = threads.submit(cache.get, source)
    source.held.set()
    assert (first.result(10), second.result(10), source.asked) == (2, 2, 2)


def test_error_reaches_those_who_wait_and_is_not_kept_when_asking_fails(
    source: Source, threads: ThreadPoolExecutor
) -> None:
    cache = SingleFlightCache[int](60.0)
    source.error = ValueError("no")
    first = asking(source, cache, threads)
    second = threads.submit(cache.get, source)
    wait_until(second.running)
    source.held.set()
    assert [str(one.exception(10)) for one in (first, second)] == ["no", "no"]
    source.error = None
    assert cache.get(source) == source.asked


def test_old_answer_is_kept_when_an_error_is_to_be_survived(source: Source) -> None:
    cache = SingleFlightCache[int](1.0, survives=(LookupError,), clock=source.clock)
    source.error = KeyError("away")
    with pytest.raises(KeyError):
        cache.get(source)
    source.error = None
    assert cache.get(source) == 2
    source.error, source.now = KeyError("away"), 2.0
    assert [cache.get(source) for _ in range(3)] == [2, 2, 2]
    assert source.asked == 3, "asked once, then not for another second"
    source.error, source.now = ValueError("broken"), 4.0
    with pytest.raises(ValueError, match="broken"):
        cache.get(source)


def test_answers_are_kept_apart_when_keys_differ(source: Source) -> None:
    cache = SingleFlightCache[int](60.0)
    assert [cache.get(source, key) for key in "abab"] == [1, 2, 1, 2]
    assert (cache.known("b"), cache.known("c"), source.asked) == (2, None, 2)


def test_key_asked_for_longest_ago_is_dropped_when_there_are_too_many(source: Source) -> None:
    cache = SingleFlightCache[int](1.0, size=2, clock=source.clock)
    cache.get(source, "a")
    cache.get(source, "b")
    source.now = 2.0
    cache.get(source, "a")
    cache.get(source, "c")
    assert [cache.known(key) for key in "abc"] == [3, None, 4]


def test_answer_is_asked_for_anew_when_it_was_forgotten(
    source: Source, threads: ThreadPoolExecutor
) -> None:
    cache = SingleFlightCache[int](60.0)
    first = asking(source, cache, threads)
    cache.forget()
    source.held.set()
    assert first.result(10) == 1, "it was right when it was asked for"
    assert cache.known() is None
    assert cache.get(source) == 2
    cache.forget()
    assert cache.get(source) == 3
