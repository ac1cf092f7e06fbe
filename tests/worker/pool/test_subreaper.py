"""Whether a process lives, as /proc tells; and a main process that outlives what it has forked."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kernel.worker.pool import subreaper
from kernel.worker.pool.subreaper import Found, is_gone, look_at
from kernel.worker.pool.vitals import Life
from tests.support.waiting import wait_until


@contextmanager
def sleeping(program: str = "/bin/sleep") -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps."""
    process = subprocess.Popen([program, "600"])
    yield process
    process.kill()
    process.wait()


def life(pid: int) -> Life:
    """The life of a process that is there."""
    found = look_at(pid)
    assert found is not None
    return found.life


def test_process_is_not_gone_when_it_lives() -> None:
    assert not is_gone(life(os.getpid()))


def test_process_is_gone_when_another_has_its_id() -> None:
    here = life(os.getpid())
    assert is_gone(Life(here.pid, here.started - 1))


def test_process_is_gone_when_it_has_ended_and_before_its_parent_asks() -> None:
    with sleeping() as process:
        one = life(process.pid)
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: is_gone(one))
        found = look_at(process.pid)
        assert found is not None
        assert found.state == "Z"
        process.wait()
        assert look_at(process.pid) is None
        assert is_gone(one)


@pytest.mark.parametrize("name", ["a) Z (b", "Z 1 1", "sleep", "a部署应用程序"])
def test_process_is_read_well_whatever_its_name(name: str, tmp_path: Path) -> None:
    """The kernel cuts a name after 15 bytes."""
    (tmp_path / name).symlink_to("/bin/sleep")
    with sleeping(str(tmp_path / name)) as process:
        comm = Path(f"/proc/{process.pid}/comm")
        wait_until(lambda: comm.read_bytes().strip() == name.encode()[:15])
        found = look_at(process.pid)
        assert found is not None
        assert (found.parent, found.has_ended) == (os.getpid(), False)


def test_other_processes_are_found_when_one_may_not_be_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def looked_at(pid: int) -> Found | None:
        if pid == os.getppid():
            raise PermissionError
        return look_at(pid)

    monkeypatch.setattr(subreaper, "look_at", looked_at)
    assert os.getpid() in [one.life.pid for one in subreaper.processes()]


def test_process_can_be_ended_when_it_cannot_be_seen_what_it_has_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(subreaper, "PROC", tmp_path / "not there")
    subreaper.kill_descendants()
    assert "may live on" in caplog.text


def run(script: str) -> str:
    """Run a script in a Python of its own, and return what it prints."""
    lines = "import os, signal, subprocess, sys, time\n" + script
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", lines],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


BEGUN = """
from kernel.worker.pool.subreaper import (
    Subreaper, is_gone, kill_descendants, kill_each, processes
)
from kernel.worker.pool.vitals import Vitals

def children():
    return {one.life.pid for one in processes() if one.parent == os.getpid() and not one.has_ended}

def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)

spared = True

def kill(found):
    if not spared:
        kill_each(found)

told = []
vitals = Vitals(places=2)
earlier = subprocess.Popen(["sleep", "600"])
main = Subreaper(vitals, after=lambda: told.append([one.runner for one in vitals.cleared()]))
assert main.begin()

def fork(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid
"""


def test_place_is_free_again_when_a_child_ended_without_taking_it() -> None:
    said = run(
        BEGUN
        + """
for _ in range(3):
    os.waitpid(fork(lambda: None), 0)
other = subprocess.run(["true"])  # its end is another look
print([vitals.reserve()[0] for _ in range(2)], vitals.occupied())
earlier.kill()
"""
    )
    assert said == "[0, 1] []\n"


def test_place_is_free_again_when_the_system_had_no_process() -> None:
    """Root may always fork, so it is another user that tries."""
    said = run(
        BEGUN
        + """
import resource
real, most = os.getuid(), resource.getrlimit(resource.RLIMIT_NPROC)
if real == 0:
    os.setresuid(65534, 65534, 0)
resource.setrlimit(resource.RLIMIT_NPROC, (0, most[1]))
for _ in range(3):
    try:
        fork(lambda: None)
    except OSError:  # Python 3.11.2 loses its number to what runs after the fork
        print("none")
if real == 0:
    os.setresuid(0, 0, 0)
resource.setrlimit(resource.RLIMIT_NPROC, most)
fork(lambda: (main.take_place("one"), time.sleep(600)))
until(vitals.occupied)
print([place.runner for place in vitals.occupied()])
os.kill(vitals.occupied()[0].life.pid, signal.SIGKILL)
earlier.kill()
"""
    )
    assert said == "none\nnone\nnone\n['one']\n"


def test_children_of_the_main_process_itself_are_left_alone_when_a_pool_process_dies() -> None:
    said = run(
        BEGUN
        + """
def pool_process():
    main.take_place("one")
    subprocess.Popen(["sleep", "600"])
    subprocess.Popen(["sleep", "600"], env={}, start_new_session=True)
    time.sleep(600)

def sibling():
    main.take_place("two")
    time.sleep(600)

dying, living = fork(pool_process), fork(sibling)
until(lambda: len(vitals.occupied()) == 2)
until(lambda: sum(one.parent == dying for one in processes()) == 2)
os.kill(dying, signal.SIGKILL)
until(lambda: vitals.cleared())
print([place.runner for place in vitals.cleared()], children() == {earlier.pid, living})
print(os.waitpid(dying, 0)[1])
earlier.kill()
os.kill(living, signal.SIGKILL)
"""
    )
    assert said == "['one'] True\n9\n"


def test_place_is_not_cleared_as_long_as_something_of_its_process_runs() -> None:
    """A child that runs on although it was killed: here, nobody may kill it but the test."""
    said = run(
        BEGUN.replace("Subreaper(vitals,", "Subreaper(vitals, kill,")
        + """
def pool_process():
    main.take_place("one")
    subprocess.Popen(["sleep", "600"])
    time.sleep(600)

dying = fork(pool_process)
until(lambda: any(one.parent == dying for one in processes()))
os.kill(dying, signal.SIGKILL)
os.waitpid(dying, 0)
main.look()
print(len(vitals.occupied()), len(vitals.cleared()))
spared = False
main.look()
until(lambda: vitals.cleared())
print(len(vitals.cleared()))
earlier.kill()
"""
    )
    assert said == "1 0\n1\n"


def test_main_process_is_told_of_an_end_when_the_place_is_cleared() -> None:
    said = run(
        BEGUN
        + """
pid = fork(lambda: (main.take_place("dead"), time.sleep(600)))
until(vitals.occupied)
os.kill(pid, signal.SIGKILL)
until(lambda: told)
print(told[-1])
earlier.kill()
"""
    )
    assert said == "['dead']\n"


def test_all_that_a_process_has_started_is_killed_when_it_is_told_to() -> None:
    said = run(
        BEGUN.replace("assert main.begin()", "")
        + """
shell = subprocess.Popen(["sh", "-c", "sleep 600 & setsid sleep 600"])
until(lambda: sum(one.parent == shell.pid for one in processes()) == 2)
below = [one.life for one in processes() if one.parent == shell.pid]
kill_descendants()
until(lambda: all(map(is_gone, below)))
print(earlier.wait(), shell.wait())
"""
    )
    assert said == "-9 -9\n"
