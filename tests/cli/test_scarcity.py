"""The system has no process or descriptor left when a program is to be started again."""

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernel.cli.local import processes
from kernel.cli.local.copies import Command, Copy
from kernel.cli.local.supervisor import Program, Supervisor
from tests.support.waiting import is_running, wait_until

WAITING = [sys.executable, "-c", "import signal; signal.pause()"]


@contextmanager
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Have this process open nothing new, until it calls what it is given or the block ends."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def end() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield end
    finally:
        end()


def refuse() -> int:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.mark.parametrize("line", [None, "LINE"])
def test_programs_run_on_and_the_dead_one_again_when_there_were_no_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    monkeypatch.setattr(processes, "RESTART_SECONDS", (0.05, 0.1))
    with Supervisor(logs=tmp_path) as supervisor:
        dies = supervisor.start(Program("dies", WAITING, successor_line=line))
        lives = supervisor.start(Program("lives", WAITING))
        before = (dies.pid, lives.pid)
        os.kill(dies.pid, signal.SIGKILL)
        wait_until(lambda: dies.returncode is not None)

        def look() -> None:
            if "dies cannot be started ([Errno 24]" in caplog.text:
                end()
            if dies.pid != before[0]:
                raise KeyboardInterrupt

        with no_descriptors() as end:
            supervisor.run_forever(look)
        assert is_running(dies.pid)
        assert (lives.pid, lives.returncode) == (before[1], None)


def test_pause_grows_as_long_as_the_system_has_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after a process that ran long."""
    monkeypatch.setattr(processes, "HEALTHY_SECONDS", 0.0)
    monkeypatch.setattr(processes, "RESTART_SECONDS", (0.1, 0.4))
    with Supervisor(logs=tmp_path) as supervisor:
        supervisor.start(Program("api", [sys.executable, "-c", ""]))
        monkeypatch.setattr(processes.subprocess, "Popen", lambda *_, **__: refuse())

        def look() -> None:
            if len(caplog.messages) == 4:
                raise KeyboardInterrupt

        supervisor.run_forever(look)
    pauses = [one.rpartition("; again in ")[2] for one in caplog.messages]
    assert pauses == ["0.1 s", "0.2 s", "0.4 s", "0.4 s"]
    assert "cannot be started ([Errno 11]" in caplog.messages[-1]


def test_signals_reach_the_supervisor_when_no_copy_of_it_could_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(BlockingIOError):
        Copy(Command(WAITING, {}, output=2, kept=()), ())
    assert signal.pthread_sigmask(signal.SIG_SETMASK, before) == before
