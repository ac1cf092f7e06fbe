"""`kernel up` for who writes handlers: the first screen, its keys, its speed, and --reload."""

import re
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from kernel.cli.local.programs import IMPORTS
from tests.support.programs import KERNEL, PATIENCE, Command
from tests.support.waiting import wait_until

HANDLERS = """
import time

from pydantic import BaseModel
from kernel import Handlers

handlers = Handlers()


class Args(BaseModel):
    seconds: float = 0.0


@handlers.register("say", Args)
def say(run, args):
    time.sleep(args.seconds)
    return {"said": "WORD", "run": run.number}
"""


def write(folder: Path, word: str) -> None:
    (folder / "mine.py").write_text(HANDLERS.replace("WORD", word))


@contextmanager
def started(folder: Path, *options: str, **settings: str) -> Iterator[Command]:
    """`kernel up`, once it has said that it is."""
    with Command(folder, "up", *options, worker_processes="1", **settings) as command:
        wait_until(lambda: "Ctrl-C" in command.out and "dashboard" in command.out, PATIENCE)
        yield command


class Desk:
    """What a person does with what the screen says."""

    def __init__(self, command: Command) -> None:
        found = re.search(r"kernel is up at (\S+),", command.out)
        key = re.search(r"Bearer (kwo_\S+?)'", command.out)
        assert found is not None
        assert key is not None
        self.api, self.key = found[1], key[1]
        self.headers = {"Authorization": f"Bearer {self.key}"}

    def submit(self, **args: Any) -> str:
        order = {"select_tag": "say", "callback_url": None, **args}
        answer = requests.post(
            f"{self.api}/v1/orders", json=order, headers=self.headers, timeout=10
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["data"]["order_id"])

    def state(self, order_id: str) -> str:
        address = f"{self.api}/v1/orders/{order_id}"
        answer = requests.get(address, headers=self.headers, timeout=20)
        return str(answer.json()["data"]["state"])

    def result(self, order_id: str) -> Any:
        def ended() -> Any:
            address = f"{self.api}/v1/orders/{order_id}?wait=5"
            answer = requests.get(address, headers=self.headers, timeout=20)
            return answer.json()["data"].get("result") if answer.status_code == 200 else None

        return wait_until(ended, PATIENCE)

    def says(self, **args: Any) -> Any:
        return self.result(self.submit(**args))["said"]


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERNEL_HANDLERS", "mine:handlers")
    write(tmp_path, "one")
    return tmp_path


def test_first_screen_has_the_few_lines_that_a_person_needs(mine: Path) -> None:
    with started(mine) as command:
        # The worker has started, too: its pool is there.
        wait_until(lambda: len(command.pids("celery")) > 1, PATIENCE)
        assert command.stop(signal.SIGINT) == 0
        screen = command.out + command.err
    assert len(screen.splitlines()) <= 20, screen
    noise = r"0001|superuser|oO0O|gunicorn|Booting|Listening|celery@|Connected to|kernel_signing"
    assert re.findall(noise, screen) == []
    for needed in ("kernel is up at", "Ctrl-C", "curl ", "/dashboard", "var/"):
        assert needed in screen


def test_keys_are_the_same_at_the_next_start(mine: Path) -> None:
    printed = []
    for _ in range(2):
        with started(mine) as command:
            assert Desk(command).says() == "one"
            printed.append(re.findall(r"kwo_\S+?(?=['\s])", command.out))
            assert command.stop() == 0
    assert printed[0] == printed[1]
    assert stat.S_IMODE((mine / "var" / "up.keys").stat().st_mode) == 0o600


def cpu_seconds() -> float:
    """Processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def loading(folder: Path) -> tuple[float, float]:
    """How long it takes to load API and worker once on this machine, and in processor time."""
    names = [name for names in IMPORTS.values() for name in names]
    code = f"import kernel.cli.commands.running, {', '.join(names)}"
    began, before = time.monotonic(), cpu_seconds()
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    return time.monotonic() - began, cpu_seconds() - before


def test_start_and_stop_take_three_seconds_or_the_time_to_load_it_twice(mine: Path) -> None:
    with started(mine) as command:  # makes the database
        command.stop()
    once, processor = loading(mine)
    began, before = time.monotonic(), cpu_seconds()
    with started(mine) as command:
        took = time.monotonic() - began
        began = time.monotonic()
        assert command.stop() == 0
        stopping = time.monotonic() - began
    used = cpu_seconds() - before
    assert took < max(3.0, 2 * once), (took, once)
    assert stopping < max(3.0, once), (stopping, once)
    # Where API, worker and supervisor each load what they need it is more than twice as much.
    assert used < 1.75 * processor, (used, processor)


def test_changed_handler_is_in_use_at_once_and_a_running_one_ends_as_it_began(mine: Path) -> None:
    with started(mine, "--reload") as command:
        desk = Desk(command)
        long = desk.submit(seconds=2.0)
        wait_until(lambda: desk.state(long) == "running", PATIENCE)
        write(mine, "two")
        began = time.monotonic()
        command.wait_for("reloaded: mine.py")
        wait_until(lambda: desk.says() == "two", PATIENCE)
        assert time.monotonic() - began < 10.0  # a second where nothing else runs
        assert desk.result(long)["said"] == "one"
        assert command.stop() == 0


def test_file_with_a_mistake_is_told_and_the_old_code_goes_on_until_it_is_mended(
    mine: Path,
) -> None:
    with started(mine, "--reload") as command:
        desk = Desk(command)
        assert desk.says() == "one"
        (mine / "mine.py").write_text("def say(:\n")
        command.wait_for("mine.py, line 1: invalid syntax: def say(:")
        assert desk.says() == "one"
        write(mine, "mended")
        command.wait_for("reloaded: mine.py")
        wait_until(lambda: desk.says() == "mended", PATIENCE)
        assert "Traceback" not in command.err + command.out
        (mine / "kernel.toml").touch()
        command.wait_for("kernel.toml has changed")
        assert command.stop() == 0


def test_start_waits_for_a_file_that_cannot_be_imported(mine: Path) -> None:
    (mine / "mine.py").write_text("import nowhere_to_be_found\n")
    with Command(mine, "up", "--reload", worker_processes="1") as command:
        command.wait_for("it imports nowhere_to_be_found, which is not installed here")
        write(mine, "one")
        wait_until(lambda: "dashboard" in command.out, PATIENCE)
        assert Desk(command).says() == "one"
        assert command.stop() == 0


def test_api_loads_nothing_for_what_is_not_set(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNEL_DATABASE_URL", "sqlite:///mine.db")
    subprocess.run([KERNEL, "migrate"], cwd=mine, check=True)
    code = """
import sys, kernel
kernel.app
print({"alembic", "authlib", "joserfc", "kernel.runtime.otel"} & sys.modules.keys() or "nothing")
"""
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=mine, capture_output=True, text=True, check=True)
    assert done.stdout == "nothing\n"


UNDESCRIBED = """
from typing import Annotated
from pydantic import BaseModel, BeforeValidator
from kernel import Handlers

class Net:
    def __init__(self, text):
        self.text = text

class Say(BaseModel, arbitrary_types_allowed=True):
    net: Annotated[Net, BeforeValidator(Net)]

handlers = Handlers()

@handlers.register("say", Say)
def say(run, args):
    return {"said": args.net.text}
"""


def test_model_that_pydantic_cannot_describe_keeps_nothing_from_starting(mine: Path) -> None:
    (mine / "mine.py").write_text(UNDESCRIBED)
    with started(mine) as command:
        assert Desk(command).says(net="10.0.0.0/8") == "10.0.0.0/8"
        assert command.stop(signal.SIGINT) == 0


def test_start_waits_for_a_setting_of_the_handlers_that_is_missing(mine: Path) -> None:
    write(mine, "one")
    with (mine / "mine.py").open("a") as file:
        file.write("\n@handlers.settings\nclass DeskSettings(BaseModel):\n    url: str\n")
    with Command(mine, "up", "--reload", worker_processes="1") as command:
        wait_until(lambda: "KERNEL_HANDLERS_DESK_URL" in command.err, PATIENCE)
        (mine / "kernel.toml").write_text('[handlers.desk]\nurl = "https://desk"\n')
        wait_until(lambda: "kernel is up at" in command.out, PATIENCE)
        assert command.stop(signal.SIGINT) == 0
