"""A supervisor hears of its programs: it does not look again and again while they run."""

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.cli.local import supervisor as supervisor_module
from kernel.cli.local.supervisor import Child, Program, Supervisor
from tests.support.waiting import wait_until

# Asks for a successor when it is told to, and goes on.
ASKING = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: os.write(int(os.environ["LINE"]), b"!"))
print("listens", flush=True)
while True: signal.pause()
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(logs=tmp_path) as running:
        yield running


def start(supervisor: Supervisor, folder: Path, name: str) -> Child:
    program = Program(name, [sys.executable, "-c", ASKING], successor_line="LINE")
    child = supervisor.start(program)
    wait_until(lambda: "listens" in (folder / f"{name}.log").read_text())
    return child


def test_supervisor_sleeps_until_a_program_ends_or_asks(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "TOLD_SECONDS", 3600.0)
    looks: list[Child] = []
    look = Child.restart_when_due

    def counted(child: Child) -> None:
        looks.append(child)
        look(child)

    monkeypatch.setattr(Child, "restart_when_due", counted)
    ends, asks = (start(supervisor, tmp_path, name) for name in ("ends", "asks"))
    before = (ends.pid, asks.pid)

    def disturb() -> None:
        try:
            wait_until(lambda: looks)
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda: ends.pid != before[0])
            os.kill(before[1], signal.SIGUSR1)
            wait_until(lambda: asks.pid != before[1])
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=disturb)
    thread.start()
    supervisor.run_forever()
    thread.join()
    assert (ends.pid == before[0], asks.pid == before[1]) == (False, False)


def test_no_look_is_needed_while_programs_run(supervisor: Supervisor, tmp_path: Path) -> None:
    child = start(supervisor, tmp_path, "runs")
    told = child.told_by()
    assert told is not None
    assert not select.select(told, [], [], 0)[0]
    os.kill(child.pid, signal.SIGUSR1)
    assert select.select(told, [], [], 60)[0]
    child.restart_when_due()
    assert child.told_by() is None, "the successor starts in its time"


def test_an_end_is_told_once(supervisor: Supervisor, tmp_path: Path) -> None:
    child = start(supervisor, tmp_path, "dies")
    told = child.told_by()
    assert told is not None
    os.kill(child.pid, signal.SIGKILL)
    assert select.select(told, [], [], 60)[0]
    wait_until(lambda: child.returncode is not None)
    assert child.told_by() is None, "what it left is buried, and it starts again in its time"


def test_descriptor_is_closed_once_when_a_second_signal_comes_with_its_close(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, close = start(supervisor, tmp_path, "ends"), os.close
    (end, _) = child.told_by() or ()
    closed: list[int] = []

    def interrupted(descriptor: int) -> None:
        close(descriptor)
        if descriptor == end:
            closed.append(end)
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        child.kill()
    child.kill()
    assert closed == [end]


def test_look_at_what_tells_is_not_interrupted_by_a_signal(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes exit codes from the system: one that is lost in between is not told again."""
    child, looked = start(supervisor, tmp_path, "runs"), []

    def look(child: Child) -> list[int]:
        os.kill(os.getpid(), signal.SIGTERM)
        looked.append(child)
        return []

    monkeypatch.setattr(Child, "told_by", look)
    supervisor.run_forever()
    assert looked == [child]
