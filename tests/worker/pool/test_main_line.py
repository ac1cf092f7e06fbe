"""The processes of a worker wake each other."""

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from kernel.worker.pool.main_line import Bell, MainLine
from tests.support.waiting import wait_until


def forked(line: MainLine, told: int) -> int:
    """Fork a pool process that writes what it is told: "c" for cleared, "e" for ended."""
    pid = os.fork()
    if pid == 0:
        ended = threading.Event()

        def on_ended() -> None:
            os.write(told, b"e")
            ended.set()

        line.follow(lambda: os.write(told, b"c"), on_ended)
        os.write(told, b".")
        ended.wait(30)
        os._exit(0)
    return pid


class Pool:
    """A main process, which is the test's, and two others. ``said``: what they have written."""

    def __init__(self) -> None:
        self.line = MainLine()
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._said = b""
        self.pids = [forked(self.line, writing) for _ in range(2)]
        os.close(writing)
        self.wait_for(".", 2)

    @property
    def said(self) -> str:
        """All that they have written."""
        with suppress(BlockingIOError):
            self._said += os.read(self._reading, 100)
        return self._said.decode()

    def wait_for(self, letter: str, count: int) -> None:
        """Wait until they have written it so many times."""
        wait_until(lambda: self.said.count(letter) == count)

    def end(self) -> None:
        """Let the main process end, as the others see it."""
        self.line.follow(lambda: None, lambda: None)  # closes the end that is the main's alone
        self.wait_for("e", 2)
        for pid in self.pids:
            os.waitpid(pid, 0)
        os.close(self._reading)


def test_one_process_is_told_of_each_that_is_gone_and_all_of_the_end_of_the_main_process() -> None:
    pool = Pool()
    for number in (1, 2, 3):
        pool.line.tell()
        pool.wait_for("c", number)
    assert "e" not in pool.said
    pool.end()


def test_main_process_never_waits_for_processes_that_do_not_listen() -> None:
    line = MainLine()
    for _ in range(100_000):  # more than a pipe holds
        line.tell()


@pytest.mark.parametrize("rings", [1, 100_000])
def test_bell_wakes_a_loop_once_for_all_that_has_rung(rings: int) -> None:
    bell, rung = Bell(), list[None]()
    readers = dict[int, Callable[[], None]]()

    def add_reader(descriptor: int, callback: Callable[[], None]) -> None:
        readers[descriptor] = callback

    bell.answer(add_reader, lambda: rung.append(None))
    (descriptor,) = readers
    assert select.select([descriptor], [], [], 0)[0] == []
    for _ in range(rings):
        bell.ring()
    while select.select([descriptor], [], [], 0)[0]:
        readers[descriptor]()
    assert 1 <= len(rung) < 100
