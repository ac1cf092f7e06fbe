"""docs/tutorial.md, followed to the letter: its files, its two terminals, its test."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import Command
from tests.support.servers import missing
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)

# The block of step 6 that starts it again.
START_AGAIN = next(code for name, code in BLOCKS if name == "sh" and code == "./run up\n")

# What `run` does once it has installed everything.
RUN = """#!/bin/sh
case $1 in
    kernel) shift; exec kernel "$@" ;;
    test) shift; exec python -m pytest -p no:cacheprovider "$@" ;;
    *) exec kernel "$@" ;;
esac
"""


def block(language: str, holding: str) -> str:
    """The one block of this language that holds these words."""
    (found,) = [code for name, code in BLOCKS if name == language and holding in code]
    return str(found)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `run` and .venv, and the tutorial's two files in it."""
    for program in ("bash", "curl", "sed"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed")
    (tmp_path / "run").write_text(RUN)
    (tmp_path / "run").chmod(0o755)
    (tmp_path / ".venv").symlink_to(BIN.parent)
    (tmp_path / "myhandlers.py").write_text(block("python", "handlers = Handlers(metadata)"))
    (tmp_path / "test_myhandlers.py").write_text(block("python", "def test_"))
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


class FirstTerminal(Command):
    """The terminal that `./run up` runs in."""

    def __init__(self, folder: Path, script: str) -> None:
        super().__init__(folder)
        self.argv = ["bash", "-eu", "-c", script]

    def told(self) -> dict[str, str]:
        """What the reader is to copy from what it prints, once it is there."""
        self.wait_for("See how it ended:")
        patterns = {
            "API": r"kernel is up at (\S+),",
            "PROCESS": r"process (\d+);",
            "KEY": r"(kwo_[\w-]+)",
            "CALLBACK": r'"callback_url": "([^"]+)"',
        }
        found = {name: re.search(pattern, self.out) for name, pattern in patterns.items()}
        return {name: match[1] for name, match in found.items() if match is not None}


class SecondTerminal:
    """The terminal of the reader: its variables stay from block to block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {}

    def type(self, script: str) -> str:
        """Run a block; return what it printed."""
        keep = "\necho; echo ORDER=${ORDER-}"
        done = subprocess.run(
            ["bash", "-eu", "-c", script + keep],
            cwd=self.folder,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed, _, order = done.stdout.rpartition("\nORDER=")
        self.variables["ORDER"] = order.strip()
        return printed

    def shown(self) -> dict[str, Any]:
        """The order, as the page's own line shows it."""
        line = PAGE[PAGE.index("curl -sS $API/v1/orders/$ORDER") :].partition("\n")[0]
        envelope: dict[str, Any] = json.loads(self.type(line))
        return envelope

    def checkpoint(self) -> dict[str, Any]:
        """How far the order is, once its first checkpoint is there."""

        def saved() -> dict[str, Any] | None:
            progress: dict[str, Any] = self.shown()["data"]["progress"]
            return progress if progress["current"] else None

        return wait_until(saved, 30, "progress") or {}

    def ended(self) -> dict[str, Any]:
        """The order, once it has ended."""
        wait_until(lambda: self.shown()["status"] != 2, 60, "end of the order")
        return self.shown()


@pytest.fixture
def reader(clone: Path) -> Iterator[tuple[FirstTerminal, SecondTerminal]]:
    """Both terminals, after step 4's copying."""
    with FirstTerminal(clone, block("sh", "export KERNEL_HANDLERS")) as first:
        second = SecondTerminal(clone)
        second.variables |= first.told()
        yield first, second


def first_order(second: SecondTerminal) -> str:
    return second.type(block("sh", '"count": 40'))


def test_tutorial_order_shows_progress_and_calls_back_when_followed(
    reader: tuple[FirstTerminal, SecondTerminal],
) -> None:
    first, second = reader
    order_id = first_order(second).strip()
    progress = second.checkpoint()
    assert (progress["total"], progress["current"] % 5) == (40, 0)
    first.wait_for(f"callback  order {order_id}  success: success  (signature verified)")
    assert first_order(second).strip() == order_id, "the same key is the same order"


def test_tutorial_orders_are_refused_as_told_when_they_are_wrong(
    reader: tuple[FirstTerminal, SecondTerminal],
) -> None:
    first, second = reader
    refused = json.loads(second.type(block("sh", '"many"')))
    assert refused == json.loads(block("json", "int_type"))
    order_id = second.type(block("sh", '"moon"')).strip()
    first.wait_for(f"callback  order {order_id}  failed: there is no department moon")


def test_tutorial_orders_of_a_key_run_one_at_a_time(
    reader: tuple[FirstTerminal, SecondTerminal],
) -> None:
    first, second = reader
    answers = second.type(block("sh", '"ordering_key"')).splitlines()
    sent = [json.loads(line)["data"] for line in answers if line]
    assert [one["sequence"] for one in sent] == [1, 2, 3]

    def listed() -> list[dict[str, Any]]:
        found = json.loads(second.type(block("sh", "?ordering_key=")))
        orders: list[dict[str, Any]] = found["data"]["orders"][::-1]
        return orders

    wait_until(lambda: all(one["state"] == "success" for one in listed()), 60, "their ends")
    ended = listed()
    assert [one["order_id"] for one in ended] == [one["order_id"] for one in sent]
    for one, following in pairwise(ended):
        assert one["finished_at"] <= following["started_at"]
    for one in sent:
        first.wait_for(f"callback  order {one['order_id']}  success: success")


@pytest.mark.slow
def test_tutorial_order_goes_on_after_its_checkpoint_when_all_was_killed(
    reader: tuple[FirstTerminal, SecondTerminal], clone: Path
) -> None:
    first, second = reader
    first_order(second)
    second.ended()
    second.type(block("sh", '"support"'))
    second.checkpoint()
    second.type(block("sh", "kill -9"))
    first.process.wait(30)
    wait_until(lambda: not first.running(), 30, "end of all of it")
    settings = block("sh", "export KERNEL_HANDLERS").replace("./run up\n", "")
    with FirstTerminal(clone, settings + START_AGAIN) as again:
        second.variables |= again.told()
        assert second.ended()["data"]["result"] == {"issued": 120, "runs": 2}
        counted = second.type(block("sh", "sqlite3.connect"))
        assert counted.strip() == block("text", "('sales'").strip()
        assert again.stop(signal.SIGINT) == 0


def test_tutorial_tests_of_the_handler_pass_when_run(clone: Path) -> None:
    done = SecondTerminal(clone).type(block("sh", "./run test"))
    assert "2 passed" in done
