"""Programs are real processes here; every wait is for a condition."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernel.cli.local import processes
from kernel.cli.local.embedded_broker import broker_program, find_broker
from kernel.cli.local.processes import restart_delay
from kernel.cli.local.supervisor import Child, Program, Supervisor, free_port, tethered
from kernel.errors import ConfigurationError
from tests.support.waiting import is_running, wait_until

# Tells its own process id and its child's, then waits; on SIGTERM it tells its name, and ends.
PARENT = """
import os, signal, subprocess, sys
name, folder, stubborn = sys.argv[1:]
def end(*_):
    open(folder + "/ended", "a").write(name + " ")
    if stubborn == "no": sys.exit()
signal.signal(signal.SIGTERM, end)
child = subprocess.Popen(["sleep", "600"])
open(folder + "/" + name + ".new", "w").write(f"{os.getpid()} {child.pid}")
os.rename(folder + "/" + name + ".new", folder + "/" + name)
while True: signal.pause()
"""

# Supervises one such program, in a process of its own.
SUPERVISING = """
import sys
from pathlib import Path
from kernel.cli.local.supervisor import Program, Supervisor
with Supervisor() as supervisor:
    supervisor.start(Program("parent", [sys.executable, *sys.argv[1:]]))
    supervisor.run_forever()
print("returned")
"""


def parent(folder: Path, name: str = "parent", stubborn: str = "no") -> list[str]:
    return ["-c", PARENT, name, str(folder), stubborn]


def pids(folder: Path, name: str = "parent") -> list[int]:
    """Process ids of such a program and of its child, once it has told them."""
    wait_until((folder / name).exists)
    return [int(pid) for pid in (folder / name).read_text().split()]


def script(code: str, name: str = "script", **options: object) -> Program:
    return Program(name, [sys.executable, "-c", code], **options)  # type: ignore[arg-type]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(logs=tmp_path) as running:
        yield running


@pytest.fixture
def supervising(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that supervises a program that has a child of its own."""
    argv = [sys.executable, "-c", SUPERVISING, *parent(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        pids(tmp_path)
        yield process
        process.kill()


@pytest.fixture
def gone(tmp_path: Path) -> Iterator[Callable[[], bool]]:
    """Tells whether the program and its child have ended; ends them after the test."""

    def ended() -> bool:
        return not any(map(is_running, pids(tmp_path)))

    yield ended
    for pid in filter(is_running, pids(tmp_path)):
        os.kill(pid, signal.SIGKILL)


def interrupt_when(condition: Callable[[], object]) -> threading.Thread:
    """Send this process SIGTERM once the condition is true, as an operator would."""

    def wait() -> None:
        try:
            wait_until(condition)
        finally:
            if callable(signal.getsignal(signal.SIGTERM)):  # else it would end the test run
                os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0.5), (1, 1), (2, 2), (5, 16), (6, 30), (100000, 30)]
)
def test_restart_delay_doubles_up_to_half_a_minute(failures: int, seconds: float) -> None:
    assert restart_delay(failures) == seconds


def test_child_is_restarted_when_it_was_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(Program("parent", [sys.executable, *parent(tmp_path)]))
    first, grandchild = pids(tmp_path)
    os.kill(first, signal.SIGKILL)
    interrupt_when(lambda: pids(tmp_path)[0] != first)
    supervisor.run_forever()
    assert child.pid == pids(tmp_path)[0]
    assert not is_running(grandchild)


def test_child_is_restarted_later_and_later_when_it_keeps_failing(
    supervisor: Supervisor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.start(script("import sys; sys.exit(3)", "api"))
    interrupt_when(lambda: len(caplog.messages) == 3)
    supervisor.run_forever()
    assert caplog.messages == [
        f"api ended with exit code 3; again in {seconds} s" for seconds in ("0.5", "1.0", "2.0")
    ]


def test_child_is_restarted_soon_again_when_it_ran_long_enough(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(processes, "HEALTHY_SECONDS", 0.0)
    supervisor.start(script("", "api"))
    interrupt_when(lambda: len(caplog.messages) == 2)
    supervisor.run_forever()
    assert {message.rpartition(";")[2] for message in caplog.messages} == {" again in 0.5 s"}


def test_run_forever_raises_when_an_essential_program_ends(supervisor: Supervisor) -> None:
    supervisor.start(script("print('no space left'); raise SystemExit(1)", restart=False))
    with pytest.raises(ConfigurationError, match="exit code 1\nno space left"):
        supervisor.run_forever()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_forever_returns_when_told_to_stop(
    supervising: subprocess.Popen[str], gone: Callable[[], bool], number: int
) -> None:
    supervising.send_signal(number)
    assert supervising.communicate(timeout=60)[0] == "returned\n"
    assert supervising.returncode == 0
    assert gone()


def test_children_end_when_the_supervisor_is_killed(
    supervising: subprocess.Popen[str], gone: Callable[[], bool], tmp_path: Path
) -> None:
    supervising.kill()
    wait_until(lambda: not is_running(pids(tmp_path)[0]))


def test_tethered_program_does_not_start_when_its_parent_has_ended() -> None:
    command = tethered(["echo", "started"])
    command[command.index(str(os.getpid()))] = "1"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_stop_ends_the_last_started_first(supervisor: Supervisor, tmp_path: Path) -> None:
    for name in ("broker", "api", "worker"):
        supervisor.start(Program(name, [sys.executable, *parent(tmp_path, name)]))
        pids(tmp_path, name)
    supervisor.stop()
    assert (tmp_path / "ended").read_text() == "worker api broker "


def test_stop_leaves_no_grandchildren(
    supervisor: Supervisor, tmp_path: Path, gone: Callable[[], bool]
) -> None:
    supervisor.start(Program("parent", [sys.executable, *parent(tmp_path)]))
    pids(tmp_path)
    supervisor.stop()
    wait_until(gone)


def test_stop_kills_a_child_that_does_not_end_in_time(
    supervisor: Supervisor, tmp_path: Path, gone: Callable[[], bool]
) -> None:
    argv = [sys.executable, *parent(tmp_path, stubborn="yes")]
    supervisor.start(Program("parent", argv, stop_timeout=0.1))
    pids(tmp_path)
    supervisor.stop()
    wait_until(gone)


def test_stop_kills_at_once_when_interrupted_again(supervisor: Supervisor, tmp_path: Path) -> None:
    argv = [sys.executable, *parent(tmp_path, stubborn="yes")]
    child = supervisor.start(Program("parent", argv, stop_timeout=600))
    pids(tmp_path)
    interrupt_when((tmp_path / "ended").exists)
    supervisor.stop()
    assert child.returncode == -signal.SIGKILL


def test_wait_until_ready_waits_for_every_program(supervisor: Supervisor, tmp_path: Path) -> None:
    for name in ("api", "worker"):
        argv = [sys.executable, *parent(tmp_path, name)]
        supervisor.start(Program(name, argv, ready=(tmp_path / name).exists))
    supervisor.wait_until_ready()
    assert (tmp_path / "api").exists()
    assert (tmp_path / "worker").exists()


def test_wait_until_ready_shows_the_output_when_a_program_is_too_slow(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    code = "import signal; print('loading', flush=True); signal.pause()"
    supervisor.start(script(code, "api", ready=lambda: False))
    wait_until((tmp_path / "api.log").read_text)
    with pytest.raises(ConfigurationError, match=r"api was not ready after 0.1 s\nloading"):
        supervisor.wait_until_ready(timeout=0.1)


def test_wait_until_ready_shows_the_output_when_a_program_ends(supervisor: Supervisor) -> None:
    supervisor.start(script("raise SystemExit('port is taken')", "api", ready=lambda: False))
    with pytest.raises(ConfigurationError, match=r"api ended with exit code 1\nport is taken"):
        supervisor.wait_until_ready()


def test_start_raises_when_there_is_no_such_program(supervisor: Supervisor) -> None:
    with pytest.raises(ConfigurationError, match="there is no program /nowhere/redis"):
        supervisor.start(Program("broker", ["/nowhere/redis"]))


def test_start_adds_to_the_environment(supervisor: Supervisor) -> None:
    code = "import os, sys; sys.exit(os.environ['HOME'] != '/h' or 'PATH' not in os.environ)"
    child = supervisor.start(script(code, env={"HOME": "/h"}))
    wait_until(lambda: child.returncode is not None)
    assert child.returncode == 0


def test_supervisor_refuses_other_threads() -> None:
    caught: list[RuntimeError] = []

    def enter() -> None:
        try:
            Supervisor().__enter__()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert caught


def test_free_port_is_never_one_of_an_outgoing_connection() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert 1024 < free_port() < first


def started_broker(supervisor: Supervisor, folder: Path) -> Child:
    child = supervisor.start(broker_program(free_port(), folder))
    supervisor.wait_until_ready()
    return child


@pytest.mark.parametrize("path", ["the PATH", "an empty PATH"])
def test_broker_answers_and_keeps_nothing(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    if path == "an empty PATH":
        monkeypatch.setenv("PATH", "")
    child = started_broker(supervisor, tmp_path)
    supervisor.stop()
    assert child.returncode == 0
    assert {file.name for file in tmp_path.iterdir()} == {"broker.log"}


def test_find_broker_names_the_mend_when_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="install redis-server"):
        find_broker()
