"""The soft limit of a run: TimeLimit, raised in its handler when it has run for that long.

SIGALRM raises it between two steps of the handler's code, so it needs the process's main thread,
where the processes of a prefork pool run handlers. In other threads `Run.check` and
`Run.checkpoint` raise it. It is raised once per run.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from kernel.errors import TimeLimit

# A strike that has to wait, for the kernel's own code or a destructor, comes this much later.
SOON_SECONDS = 0.01

T = TypeVar("T")


class SoftLimit:
    """Raises TimeLimit in the handler that `call` calls, ``seconds`` after it began.

    ``seconds`` is None for a handler without a soft limit: it may use SIGALRM itself. ``packages``:
    the names of those whose code talks to the database. A strike in the midst of it may leave half
    an answer on the run's connection; ``inside`` says so, and such a run can commit nothing.
    """

    def __init__(self, seconds: float | None = None, packages: frozenset[str] = frozenset()):
        self.seconds = seconds
        self.inside = False
        self._packages = packages
        self._due_at = math.inf
        # Whether SIGALRM may raise, and how many blocks of `held` are open.
        self._armed = False
        self._held = 0

    def call(self, handler: Callable[[], T]) -> T:
        """Call ``handler``; TimeLimit strikes in it alone, never before or after.

        Nor does an alarm that it has set itself: left behind, that would strike in another's run.
        """
        in_main = threading.current_thread() is threading.main_thread()
        if self.seconds is None:
            return _without_its_alarm(handler) if in_main else handler()
        self._due_at = time.monotonic() + self.seconds
        try:
            return self._call_with_alarm(handler, self.seconds) if in_main else handler()
        finally:
            self._due_at = math.inf

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep TimeLimit out of a block of the kernel's own; raise it at the end if it is due."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if time.monotonic() >= self._due_at:
            raise self._strike()

    def _call_with_alarm(self, handler: Callable[[], T], seconds: float) -> T:
        before = signal.signal(signal.SIGALRM, self._on_alarm)
        try:
            try:
                self._armed = True
                signal.setitimer(signal.ITIMER_REAL, seconds)
                return handler()
            finally:
                # A strike up to here is one in the handler's last step. After it there is none: the
                # clean-up below is not disturbed.
                self._armed = False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _on_alarm(self, _signal: int, frame: FrameType | None) -> None:
        if not self._armed:
            return
        codes = list(self._frames(frame))
        # What a destructor raises is printed and lost.
        if self._held or any(one.f_code.co_name == "__del__" for one in codes):
            signal.setitimer(signal.ITIMER_REAL, SOON_SECONDS)
            return
        self.inside = any(_package(one) in self._packages for one in codes)
        raise self._strike()

    def _strike(self) -> TimeLimit:
        self._armed, self._due_at = False, math.inf
        return TimeLimit(f"the handler has run for its soft limit of {self.seconds:g} s")

    def _frames(self, frame: FrameType | None) -> Iterator[FrameType]:
        """Yield the frames of the handler and of what it has called, the innermost first."""
        ours = self._call_with_alarm.__code__
        while frame is not None and frame.f_code is not ours:
            yield frame
            frame = frame.f_back


def _without_its_alarm(handler: Callable[[], T]) -> T:
    """Call ``handler`` and put SIGALRM back; an alarm of who calls is left as it is."""
    before, (left, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    try:
        return handler()
    finally:
        if not left:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if before is not None and signal.getsignal(signal.SIGALRM) is not before:
            signal.signal(signal.SIGALRM, before)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
