"""A bounded queue and one lazy thread: a request or a handler sends something to a broker without
ever waiting for it.

What cannot be sent in time is dropped: rows are the truth, and the sweep makes up for it.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
BATCH = 100


class BackgroundPublisher(Generic[T]):
    """Hands the items put into it to ``send``, in batches, from a daemon thread of this process.

    ``send`` may block for a second or so and may raise: then the batch is kept, and tried again at
    once, for only the connection may be lost, and then after ``pause_seconds`` each time. An item
    is sent at once when none was sent in the last ``linger`` seconds; else it waits until they are
    over, for others to share its batch: a batch costs little more than an item. ``send`` may change
    ``linger``. At most ``capacity`` items wait.
    The thread starts with the first item, so a process may fork before that.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[list[T]], None],
        linger: float = 0.0,
        *,
        capacity: int = 10_000,
        pause_seconds: float = 1.0,
    ) -> None:
        self._name = name
        self._send = send
        self.linger = linger
        self._capacity = capacity
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._pid = 0
        self._items: queue.Queue[T] = queue.Queue(capacity)
        self._dropped = 0

    def put(self, items: Iterable[T]) -> None:
        """Queue ``items``; never waits. When the queue is full they are dropped, and counted.

        So they are while this process gets no thread: the next call tries again.
        """
        if self._pid != os.getpid():
            try:
                self._start()
            except RuntimeError as error:
                log.warning("%s: %s; dropped", self._name, error)
                return
        for item in items:
            try:
                self._items.put_nowait(item)
            except queue.Full:
                self._dropped += 1

    def flush(self, seconds: float) -> bool:
        """Wait until all that was put is sent, at most for ``seconds``; True if it is."""
        deadline = time.monotonic() + seconds
        while self._items.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)  # a queue cannot be waited for with a limit
        return not self._items.unfinished_tasks

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._items = queue.Queue(self._capacity)
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
            self._pid = os.getpid()

    def _run(self) -> None:
        failing, sent_at = False, 0.0
        while True:
            batch = [self._items.get()]
            if self._items.qsize() < BATCH:
                time.sleep(max(0.0, sent_at + self.linger - time.monotonic()))
            while len(batch) < BATCH and not self._items.empty():
                batch.append(self._items.get())
            while not self._try(batch, failing):
                if failing:
                    time.sleep(self._pause_seconds)  # a broker that is away is not asked in a loop
                failing = True
            failing, sent_at = False, time.monotonic()
            for _ in batch:
                self._items.task_done()

    def _try(self, batch: list[T], failing: bool) -> bool:
        try:
            self._send(batch)
        except Exception as error:  # noqa: BLE001 - each client has errors of its own
            if not failing:
                log.warning("%s: %s: %s; trying again", self._name, type(error).__name__, error)
            return False
        if failing:
            dropped, self._dropped = self._dropped, 0
            log.warning("%s: works again; %d dropped meanwhile", self._name, dropped)
        return True
