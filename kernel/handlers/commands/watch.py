"""Follows a program while it runs: tells its progress, and ends it when its run has to end."""

import time

from kernel.errors import LeaseLost, RunInterrupted, TimeLimit
from kernel.handlers.commands.ends import too_much
from kernel.handlers.commands.lines import Heard
from kernel.handlers.commands.process import Ended, Supervised
from kernel.handlers.commands.tables import Command
from kernel.handlers.run import Run

# How long the program may be silent before the order's row is asked.
LOOK_SECONDS = 0.25
# Progress is committed once in this time, however often the program tells it.
PROGRESS_SECONDS = 1.0
# So long before the handler's time limit, at which its process would be killed.
MARGIN_SECONDS, MARGIN_SHARE = 2.0, 0.1
# How long is waited for the end of what an ended program said: a process may hold it open that
# cannot be killed.
LINGER_SECONDS = 2.0


class Watch:
    """Follows one program of one run."""

    def __init__(self, command: Command, run: Run, process: Supervised, heard: Heard) -> None:
        self._command = command
        self._run = run
        self._process = process
        self._heard = heard
        self._told_at = 0.0
        self._ended_at: float | None = None
        # Whether the soft limit has asked it to end.
        self._asked = False
        margin = min(MARGIN_SECONDS, MARGIN_SHARE * run.time_limit)
        self._until = run.started + run.time_limit - margin

    def follow(self) -> Ended:
        """Return how the program ended.

        Raises RunInterrupted and TimeLimit, as the run does, and Reject when it says too much.
        """
        try:
            while not self._is_over():
                self._listen(LOOK_SECONDS)
                self._run.check()
                self._tell_progress()
                self._keep_limits()
        except LeaseLost:  # another run may have begun
            raise
        except RunInterrupted:
            self._stop()
            raise
        self._heard.finish()
        ended = self._process.ended or Ended(signal=9)
        if self._asked and ended.code != 0 and str(ended.code) not in self._command.exit_codes:
            raise TimeLimit(
                f"the command has run for its soft limit of {self._command.soft_limit} s"
            )
        return ended

    def _is_over(self) -> bool:
        if self._process.ended is not None and self._ended_at is None:
            self._ended_at = time.monotonic()
        lingers = self._ended_at is not None and time.monotonic() - self._ended_at > LINGER_SECONDS
        return lingers or not self._process.is_open

    def _listen(self, seconds: float) -> None:
        for name, said in self._process.read(seconds):
            self._heard.take(name, said)
        if self._heard.length > self._command.output_bytes:
            raise too_much(self._command)

    def _tell_progress(self) -> None:
        now = time.monotonic()
        if now - self._told_at < PROGRESS_SECONDS or (told := self._heard.take_progress()) is None:
            return
        self._told_at = now
        self._run.checkpoint(*told, state=self._run.state)

    def _keep_limits(self) -> None:
        now = time.monotonic()
        if now > self._until:
            raise TimeLimit(f"the command has run for its time limit of {self._run.time_limit:g} s")
        soft_limit = self._command.soft_limit
        if soft_limit is not None and not self._asked and now - self._run.started > soft_limit:
            self._asked = True
            self._process.terminate()

    def _stop(self) -> None:
        """Ask the program to end, and give it its time; what is left is killed afterwards."""
        self._process.terminate()
        until = time.monotonic() + self._command.stop_seconds
        while self._process.ended is None and (left := until - time.monotonic()) > 0:
            self._listen(min(LOOK_SECONDS, left))
