"""Known traps of docs/handlers.md: processes of a handler's own, in a real worker."""

from pathlib import Path

import pytest

from tests.cli.test_up import Desk, started

HANDLERS = """
import multiprocessing
import subprocess
import sys

import billiard
from pydantic import BaseModel

from kernel import Handlers

handlers = Handlers()


class Args(BaseModel):
    way: str


def square(number):
    return number * number


@handlers.register("say", Args)
def say(run, args):
    if args.way == "subprocess":
        code = "print(sum(n * n for n in range(4)))"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return {"said": int(told.stdout)}
    kind = {"billiard": billiard, "multiprocessing": multiprocessing}[args.way]
    try:
        with kind.Pool(2) as pool:
            return {"said": sum(pool.map(square, range(4)))}
    except AssertionError as error:
        return {"said": str(error)}
"""


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("subprocess", 14),
        ("billiard", 14),
        ("multiprocessing", "daemonic processes are not allowed to have children"),
    ],
)
def test_processes_of_a_handler_are_made_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, said: object
) -> None:
    monkeypatch.setenv("KERNEL_HANDLERS", "mine:handlers")
    (tmp_path / "mine.py").write_text(HANDLERS)
    with started(tmp_path) as command:
        assert Desk(command).says(way=way) == said
        assert command.stop() == 0
