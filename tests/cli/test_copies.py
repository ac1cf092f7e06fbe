"""Programs that begin as copies of their supervisor: real forks, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import is_running, wait_until

# Tells how it finds itself, then does what it was told.
TELLER = """
import json, os, signal, sys

def link(number):
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return None

names = ("SIGINT", "SIGTERM", "SIGHUP")
found = {
    "pid": os.getpid(),
    "leads": os.getsid(0) == os.getpid(),
    "argv": sys.argv[1:],
    "main": __name__,
    "path": os.path.basename(sys.argv[0]),
    "copied": "colorsys" in sys.modules,
    "word": os.environ.get("WORD"),
    "lacks": "GONE" not in os.environ,
    "signals": [repr(signal.getsignal(getattr(signal, one))) for one in names],
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "files": sorted({link(number) for number in os.listdir("/proc/self/fd")} - {None}),
    "shown": open("/proc/self/cmdline").read().strip(chr(0)),
}
with open("told.new", "w") as file:
    json.dump(found, file)
os.rename("told.new", f"told.{sys.argv[1]}")
print("said", flush=True)
if sys.argv[2] == "wait":
    signal.pause()
sys.exit(sys.argv[2])
"""

# Supervises it; `--thread` has a thread run beside.
SUPERVISING = """
import os, sys, threading
from pathlib import Path
from kernel.cli.local.supervisor import Program, Supervisor

sys.path.insert(0, os.getcwd())
what, *options = sys.argv[1:]
os.environ["GONE"] = "yes"
held = open("held", "w")
if "--thread" in options:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
with Supervisor(logs=Path(".")) as supervisor:
    del os.environ["GONE"]
    argv = [sys.executable, "-m", "teller", "one", what]
    env = {"WORD": "up"}
    child = supervisor.start(Program("teller", argv, env, imports=("colorsys",)))
    if what == "wait":
        supervisor.run_forever()
    else:
        while child.returncode is None:
            pass
        print(child.returncode)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "teller.py").write_text(TELLER)
    return tmp_path


@contextmanager
def supervising(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", SUPERVISING, *arguments]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def told(folder: Path) -> dict[str, Any]:
    wait_until((folder / "told.one").exists, 30)
    found: dict[str, Any] = json.loads((folder / "told.one").read_text())
    return found


def test_program_begins_as_a_copy_and_finds_itself_as_one_that_was_started(folder: Path) -> None:
    with supervising(folder, "wait") as parent:
        found = told(folder)
        parent.terminate()
        assert parent.wait(30) == 0
    assert found["copied"]
    assert found["main"] == "__main__"
    assert (found["path"], found["argv"]) == ("teller.py", ["one", "wait"])
    assert (found["word"], found["lacks"]) == ("up", True)
    assert found["leads"]
    assert found["blocked"] == 0
    assert "default_int_handler" in found["signals"][0]
    assert found["signals"][1:] == [repr(signal.SIG_DFL)] * 2
    assert {Path(one).name for one in found["files"]} <= {"null", "teller.log", "fd"}
    assert found["shown"].startswith("teller one")
    assert (folder / "teller.log").read_text() == "said\n"


def test_program_is_started_anew_beside_a_thread(folder: Path) -> None:
    with supervising(folder, "wait", "--thread") as parent:
        found = told(folder)
        parent.terminate()
        assert parent.wait(30) == 0
    assert not found["copied"]
    assert found["shown"].startswith(sys.executable)


def test_copy_ends_when_its_supervisor_is_killed(folder: Path) -> None:
    with supervising(folder, "wait") as parent:
        pid = told(folder)["pid"]
        parent.kill()
    wait_until(lambda: not is_running(pid))


def test_copy_that_was_killed_is_replaced(folder: Path) -> None:
    with supervising(folder, "wait") as parent:
        first = told(folder)["pid"]
        (folder / "told.one").unlink()
        os.kill(first, signal.SIGKILL)
        assert told(folder)["pid"] != first
        parent.terminate()
        assert parent.wait(30) == 0


@pytest.mark.parametrize(("said", "code"), [("", 1), ("a reason", 1)])
def test_copy_ends_with_its_own_exit_code_and_last_words(
    folder: Path, said: str, code: int
) -> None:
    with supervising(folder, said) as parent:
        assert parent.communicate(timeout=30)[0] == f"{code}\n"
    assert (folder / "teller.log").read_text() == f"said\n{said}\n"
