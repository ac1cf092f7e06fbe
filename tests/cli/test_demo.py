"""`kernel demo` and `kernel up`, as processes: what they show, and that nothing is left."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from kernel.cli import demo
from kernel.cli.commands.running import free_bind
from kernel.cli.local import programs
from kernel.config.settings import load
from kernel.errors import ConfigurationError
from tests.support.people.terminal import Terminal
from tests.support.programs import PATIENCE, Command
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A demo that has ended."""
    with Command(tmp_path_factory.mktemp("demo"), "demo", broker_url="nonsense") as command:
        command.process.wait(PATIENCE)
        yield command


def test_demo_succeeds_within_half_a_minute(shown: Command) -> None:
    seconds = re.search(r"All as it should be, after ([\d.]+) s", shown.out)
    assert shown.process.returncode == 0, shown.err
    assert seconds is not None
    assert float(seconds[1]) < 30


def test_demo_leaves_nothing(shown: Command) -> None:
    assert shown.running() == []
    assert {file.name for file in shown.folder.iterdir()} == {"out", "err"}


def test_demo_shows_each_answer_and_callback(shown: Command) -> None:
    answers = re.findall(r"answer +(\d+): status (-?\d), pending, order [0-9a-f-]{36}", shown.out)
    assert answers == [("202", "2")] * 3
    callbacks = re.findall(r"callback +(ticket-\d): status (-?\d)", shown.out)
    assert callbacks == [("ticket-1", "0"), ("ticket-2", "1"), ("ticket-3", "-1")]
    assert shown.out.count("signature verified, webhook-id") == 3


def test_demo_shows_the_rows_that_failed(shown: Command) -> None:
    assert '"imported": 197, "failed": 3' in shown.out
    assert '"row": 17' in shown.out


def test_demo_shows_progress_while_it_runs(shown: Command) -> None:
    current = [int(number) for number in re.findall(r"progress +(\d+) of 200", shown.out)]
    assert current == sorted(current)
    assert 0 < current[0] < current[-1] == 200


def test_demo_shows_that_a_repeat_is_the_first_order(shown: Command) -> None:
    repeat = re.search(r"200, Idempotency-Replayed: status 0, success, order (\S+)", shown.out)
    assert repeat is not None
    assert shown.out.count(repeat[1]) == 2


def test_demo_counts_the_rows_in_the_database(shown: Command) -> None:
    counts = shown.out.partition("What is in the database")[2].split("\n")[1:4]
    assert [line.split(maxsplit=1)[1] for line in counts] == [
        "198",
        "1 failed, 1 success, 1 warning",
        "3 delivered",
    ]


def test_demo_is_plain_when_its_output_is_no_terminal(shown: Command) -> None:
    assert "\x1b" not in shown.out


def test_demo_fails_with_a_reason_when_it_takes_too_long(
    empty_terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert "was not ready after 0.01 s" in empty_terminal.run("demo", exit_code=2).stderr
    assert not list(tmp_path.iterdir())


def test_demo_stops_everything_when_it_is_interrupted(tmp_path: Path) -> None:
    with Command(tmp_path, "demo") as command:
        command.wait_for("A project is created")
        assert command.stop(signal.SIGTERM) == 1
        assert command.running() == []
        assert {file.name for file in tmp_path.iterdir()} == {"out", "err"}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Command]:
    """`kernel up`, once it has said that it is."""
    bind = f"127.0.0.1:{programs.free_port()}"
    with Command(tmp_path, "up", bind=bind, worker_processes="1", api_processes="1") as command:
        command.wait_for("See how it ended")
        wait_until(lambda: command.out.count("curl") == 2)
        yield command


def curl(command: Command, number: int) -> str:
    """Run one of the lines that `kernel up` tells to paste, as it stands there."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    line = [line for line in command.out.splitlines() if line.startswith("  curl ")][number]
    return subprocess.check_output(line, shell=True, stderr=subprocess.DEVNULL, text=True)


def test_up_prints_a_line_that_works_and_shows_its_callback(up: Command) -> None:
    order_id = json.loads(curl(up, 0))["data"]["order_id"]
    up.wait_for(f"callback  order {order_id}  success")
    (order,) = json.loads(curl(up, 1))["data"]["orders"]
    assert (order["order_id"], order["state"]) == (order_id, "success")


def test_up_prints_a_key_that_opens_the_dashboard(up: Command) -> None:
    up.wait_for("this operator's key:")
    found = re.search(r"(http://\S+/dashboard) with this operator's key:\s+(kwo_\S+)", up.out)
    assert found is not None
    form = {"key": found[2]}
    answer = requests.post(f"{found[1]}/sign-in", data=form, timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_stops_everything_when_told_to(up: Command, number: int) -> None:
    assert up.stop(number) == 0
    assert up.running() == []
    assert {file.name.partition("-")[0] for file in (up.folder / "var").iterdir()} == {
        "broker.conf",
        "broker.log",
        "kernel.db",
        "kernel.db.key",
        "up.keys",
        "up.lock",
    }


def test_up_leaves_nothing_running_when_it_is_killed(up: Command) -> None:
    up.stop(signal.SIGKILL)
    wait_until(lambda: up.running() == [], PATIENCE)


def test_up_starts_again_what_has_died(up: Command) -> None:
    (broker,) = up.pids("-server")
    subprocess.run(["kill", "-9", str(broker)], check=True)
    wait_until(lambda: up.pids("-server") not in ([], [broker]), PATIENCE)
    order_id = json.loads(curl(up, 0))["data"]["order_id"]
    up.wait_for(f"callback  order {order_id}  success")


def test_up_takes_a_free_port_when_the_default_is_taken() -> None:
    def taken(bind: str) -> bool:
        return True

    assert free_bind(load(), taken) != "127.0.0.1:8000"
    with pytest.raises(ConfigurationError, match="another program listens"):
        free_bind(load(bind="127.0.0.1:80"), taken)


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("0.0.0.0:8000", "127.0.0.1:8000"),
        ("[::]:8000", "[::1]:8000"),
        ("name:1", "name:1"),
    ],
)
def test_reachable_is_an_address_to_connect_to(bind: str, address: str) -> None:
    assert programs.reachable(bind) == address
