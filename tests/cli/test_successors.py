"""A program that asks for its successor: the two run side by side, and end together."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel.cli.local import processes
from kernel.cli.local.processes import Child, Program
from tests.support.waiting import is_running, wait_until

# Tells its process id and its child's. On SIGUSR1 it asks for a successor, on SIGUSR2 it ends; on
# SIGTERM it says so, and ends.
ASKING = """
import os, signal, subprocess, sys
folder, line = sys.argv[1], int(os.environ["LINE"])
def tell(name, text):
    with open(f"{folder}/{name}", "a") as file: file.write(text)
def end(*_):
    tell("ended", f"{os.getpid()} ")
    sys.exit()
signal.signal(signal.SIGUSR1, lambda *_: os.write(line, b"x"))
signal.signal(signal.SIGUSR2, lambda *_: sys.exit(1))
signal.signal(signal.SIGTERM, end)
child = subprocess.Popen(["sleep", "600"])
tell("started", f"{os.getpid()} {child.pid}\\n")
while True: signal.pause()
"""

# Tells its process id and its child's, which goes on until the file "go" is there.
LEAVING = """
import os, signal, sys, time
pid = os.fork()
if pid == 0:
    while not os.path.exists(f"{sys.argv[1]}/go"): time.sleep(0.01)
    os._exit(0)
with open(f"{sys.argv[1]}/started", "a") as file: file.write(f"{os.getpid()} {pid}\\n")
while True: signal.pause()
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """Such a program, started."""
    monkeypatch.setattr(processes, "RESTART_SECONDS", (0.0, 0.0))
    argv = [sys.executable, "-c", ASKING, str(tmp_path)]
    made = Child(Program("worker", argv, successor_line="LINE"), tmp_path / "log")
    yield made
    made.kill()


def started(folder: Path) -> list[list[int]]:
    """The process ids that the program and its successors told, and those of their children."""
    lines = (folder / "started").read_text().splitlines() if (folder / "started").exists() else []
    return [[int(pid) for pid in line.split()] for line in lines]


def kept_until(child: Child, condition: Callable[[], object]) -> None:
    """Look after the program, as a supervisor does, until the condition is true."""

    def kept() -> object:
        child.restart_when_due()
        return condition()

    wait_until(kept)


def asked(child: Child, folder: Path, count: int = 1) -> list[list[int]]:
    """Have each process ask once its predecessor's successor runs; return all that were started."""
    for number in range(count):
        kept_until(child, lambda: len(started(folder)) == number + 1)  # noqa: B023 - called here
        os.kill(child.pid, signal.SIGUSR1)
    kept_until(child, lambda: len(started(folder)) == count + 1)
    return started(folder)


def test_successor_runs_beside_a_process_that_asks_for_it(child: Child, tmp_path: Path) -> None:
    first, second = asked(child, tmp_path)
    assert child.pid == second[0]
    assert all(map(is_running, first + second))


def test_nothing_is_started_when_no_process_asks(child: Child, tmp_path: Path) -> None:
    kept_until(child, lambda: started(tmp_path))
    for _ in range(20):
        child.restart_when_due()
    assert [child.pid] == [pid for pid, _ in started(tmp_path)]


def test_process_that_wound_down_leaves_nothing_and_has_no_second_successor(
    child: Child, tmp_path: Path
) -> None:
    first, second = asked(child, tmp_path)
    os.kill(first[0], signal.SIGUSR2)
    kept_until(child, lambda: not any(map(is_running, first)))
    assert child.pid == second[0]
    assert all(map(is_running, second))


def test_successor_starts_when_the_process_ends_as_soon_as_it_has_asked(
    child: Child, tmp_path: Path
) -> None:
    wait_until(lambda: started(tmp_path))
    (first,) = started(tmp_path)
    os.kill(first[0], signal.SIGUSR1)
    os.kill(first[0], signal.SIGUSR2)
    wait_until(lambda: not is_running(first[0]))
    kept_until(child, lambda: len(started(tmp_path)) == 2)
    assert not any(map(is_running, first))


def test_stop_tells_all_of_them_and_leaves_none(child: Child, tmp_path: Path) -> None:
    first, second, third = asked(child, tmp_path, 2)
    child.stop()
    told = {int(pid) for pid in (tmp_path / "ended").read_text().split()}
    assert told == {first[0], second[0], third[0]}
    wait_until(lambda: not any(map(is_running, first + second + third)))


def test_successor_waits_for_an_end_when_as_many_wind_down_as_may(
    child: Child,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(processes, "MOST_WINDING_DOWN", 1)
    first, second = asked(child, tmp_path)
    os.kill(second[0], signal.SIGUSR1)
    kept_until(child, lambda: caplog.text.count("takes nothing more") == 2)
    for _ in range(20):
        child.restart_when_due()
    assert child.pid == second[0]
    os.kill(first[0], signal.SIGUSR2)
    kept_until(child, lambda: len(started(tmp_path)) == 3)


@pytest.fixture
def leaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], Child]]:
    """Start a program whose children have so many seconds when it is killed, and kill it."""
    monkeypatch.setattr(processes, "RESTART_SECONDS", (0.0, 0.0))
    made: list[Child] = []

    def killed(seconds: float) -> Child:
        argv = [sys.executable, "-c", LEAVING, str(tmp_path)]
        child = Child(Program("worker", argv, last_seconds=seconds), tmp_path / "log")
        made.append(child)
        kept_until(child, lambda: started(tmp_path))
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: child.returncode is not None)
        return child

    yield killed
    for child in made:
        child.kill()


def test_successor_waits_for_the_children_of_a_killed_process(
    leaving: Callable[[float], Child], tmp_path: Path
) -> None:
    child = leaving(600.0)
    for _ in range(20):
        child.restart_when_due()
    ((_, left),) = started(tmp_path)
    assert is_running(left)
    (tmp_path / "go").touch()
    kept_until(child, lambda: len(started(tmp_path)) == 2)


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_children_of_a_killed_process_are_killed_before_its_successor_starts(
    leaving: Callable[[float], Child], tmp_path: Path, seconds: float
) -> None:
    child = leaving(seconds)
    ((_, left),) = started(tmp_path)
    kept_until(child, lambda: len(started(tmp_path)) == 2)
    assert not is_running(left)
