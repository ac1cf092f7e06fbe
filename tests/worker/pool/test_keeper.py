"""A process that is kept: another takes its place when it is killed, and none when it ends."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

KEEPING = """
import os, signal, sys
from kernel.config.settings import load
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.worker.pool import keeper

def work(vitals, told):
    dead = [one.runner for one in vitals.cleared()]
    print("runs", kernel.runner, *dead, flush=True)
    for place in vitals.cleared():
        vitals.free(place)
    {act}

kernel = Kernel(load(database_url=f"sqlite:///{sys.argv[1]}", result_backend=""), Handlers())
keeper.PAUSE_SECONDS = {pause}, {pause}
{before}
print("code", keeper.Keeper(kernel, work).run(), flush=True)
"""
# The system has no process left for the first tries.
SCARCE = """
forks = iter([{tries}])
fork = os.fork

def scarce():
    if next(forks, None) is None:
        return fork()
    print("none", flush=True)
    raise BlockingIOError("Resource temporarily unavailable")

os.fork = scarce
"""
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
Keeping = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    """Start a keeper whose processes do ``act``; return it."""
    made: list[subprocess.Popen[str]] = []

    def start(act: str, pause: float = 0.0, tries: int = 0) -> subprocess.Popen[str]:
        before = SCARCE.replace("{tries}", "1," * tries)
        script = KEEPING.replace("{act}", act).replace("{pause}", str(pause))
        script = script.replace("{before}", before)
        argv = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "kernel.db")]
        made.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        return made[-1]

    yield start
    for one in made:
        one.kill()
        one.communicate()


def test_next_process_finds_the_place_of_each_that_was_killed(keeping: Keeping) -> None:
    said = keeping(f"dead or {DIE}")
    lines = said.communicate(timeout=60)[0].splitlines()
    (_, first), (_, second, dead), ended = (line.split() for line in lines)
    assert (dead, ended) == (first, ["code", "0"])
    assert second != first


def test_process_that_fails_is_not_started_again(keeping: Keeping) -> None:
    lines = keeping("raise OSError").communicate(timeout=60)[0].splitlines()
    assert [line.split()[0] for line in lines] == ["runs", "code"]
    assert lines[-1] == "code 1"


@pytest.mark.parametrize(("act", "pause"), [("told.wait(60)", 0.0), (DIE, 3000.0)])
def test_both_end_when_told_to_also_before_another_is_started(
    keeping: Keeping, act: str, pause: float
) -> None:
    process = keeping(act, pause)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("runs")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "code 0\n"


def test_process_is_tried_again_and_has_a_place_when_the_system_had_none(keeping: Keeping) -> None:
    lines = keeping(f"dead or {DIE}", tries=3).communicate(timeout=60)[0].splitlines()
    assert lines[:3] == ["none"] * 3
    (_, first), (_, _second, dead), ended = (line.split() for line in lines[3:])
    assert (dead, ended) == (first, ["code", "0"])


def test_keeper_ends_when_told_to_while_the_system_has_no_process(keeping: Keeping) -> None:
    process = keeping(DIE, pause=3000.0, tries=1)
    assert process.stdout is not None
    assert process.stdout.readline() == "none\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "code 0\n"
