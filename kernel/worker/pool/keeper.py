"""`kernel dispatcher` as two processes: one sends callbacks, and its parent keeps one that does.

When the sender is killed, the parent forks another, which takes over before all else: nothing has
to be imported. When the parent is killed, the sender makes its callbacks in flight due and ends.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from kernel.runtime.kernel import Kernel
from kernel.worker.dispatcher import Dispatcher
from kernel.worker.pool.subreaper import look_at
from kernel.worker.pool.vitals import Seat, Vitals
from kernel.worker.services.service import Periodic
from kernel.worker.services.takeover import Neighbours, Takeover

log = logging.getLogger(__name__)

TOLD = {signal.SIGTERM, signal.SIGINT}
# The pause before another process, the first and the longest; after a life of so long, the first.
PAUSE_SECONDS, HEALTHY_SECONDS = (0.1, 30.0), 60.0
STEP_SECONDS = 0.1
# How often a process looks whether one before it is not taken over yet.
LOOK_SECONDS = 1.0

Work = Callable[[Vitals, threading.Event], object]


class Keeper:
    """Keeps a process that does ``work`` until it is told to end, or ends by itself.

    The work is given the vitals that the processes share, and what is set when it is to end. Before
    `run` this process has no connections and no threads. Use it from the main thread.
    """

    def __init__(self, kernel: Kernel, work: Work) -> None:
        self._kernel = kernel
        self._work = work
        self._vitals = Vitals(places=2)
        self._pid = 0
        self._told = 0

    def run(self) -> int:
        """Return the exit code of the last process."""
        for number in TOLD:
            signal.signal(number, self._pass_on)
        pause, longest = PAUSE_SECONDS
        while True:
            began = time.monotonic()
            try:
                self._fork()
            except OSError as error:
                why = f"cannot be started ({error})"
            else:
                code = self._ended()
                if code >= 0 or self._told:
                    return max(code, 0)
                why = f"was ended by {signal.Signals(-code).name}"
            if time.monotonic() - began > HEALTHY_SECONDS:
                pause = PAUSE_SECONDS[0]
            log.warning("dispatcher %s; again in %.1f s", why, pause)
            if self._is_told_within(pause):
                return 0
            pause = min(2 * pause, longest)

    def _fork(self) -> None:
        """Start a process. Raises OSError when the system has none, or no memory for it."""
        seat = self._vitals.reserve()
        signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
        try:
            self._pid = os.fork()
        except OSError:
            if seat is not None:
                self._vitals.free(seat)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
            raise
        if self._pid == 0:
            self._do_work(seat)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)

    def _ended(self) -> int:
        """Wait for the process, and return how it ended: its exit code, negative for a signal."""
        status = os.waitpid(self._pid, 0)[1]
        self._pid = 0
        for place in self._vitals.occupied():
            self._vitals.clear(place)
        return os.waitstatus_to_exitcode(status)

    def _do_work(self, seat: Seat | None) -> NoReturn:
        code, told = 1, threading.Event()
        try:
            if seat is not None and (found := look_at(os.getpid())) is not None:
                self._vitals.occupy(seat, found.life, self._kernel.runner)
            for number in TOLD:
                signal.signal(number, lambda *_: told.set())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
            self._work(self._vitals, told)
            code = 0
        except Exception:
            log.exception("dispatcher failed")
        finally:
            os._exit(code)

    def _is_told_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._told and time.monotonic() < deadline:
            time.sleep(min(seconds, STEP_SECONDS))  # a handler does not end a sleep
        return bool(self._told)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._told = number
        if self._pid:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self._pid, number)


def begin(kernel: Kernel, vitals: Vitals, sender: Dispatcher) -> None:
    """Start a sender in a kept process: it takes over first, and ends when its parent does."""
    told = (sender.tell, sender.wake)
    takeover = Takeover(kernel, vitals, *told, seconds=LOOK_SECONDS)
    neighbours = Neighbours(kernel, *told, seconds=LOOK_SECONDS)
    sender.heartbeat.main_pid = os.getppid()
    gone = threading.Event()

    def look() -> None:
        if gone.is_set():
            log.error("the parent of the dispatcher is gone; ending this one")
            sender.settle()
            sender.forget()
            os._exit(1)

    watch = Periodic("watch", look, LOOK_SECONDS, lasts=True)

    def ended() -> None:
        gone.set()
        watch.hurry()
        sender.loop.wake()

    sender.loop.services = [watch, takeover, neighbours, *sender.loop.services]
    sender.start()
    vitals.line.follow(lambda: None, ended)
