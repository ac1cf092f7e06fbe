"""PYTHONOPTIMIZE=2 takes the docstrings of programs; help and the API document keep their texts."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The help of every command, and the API document.
CODE = """
import click
from kernel.cli.main import main

def walk(command, context):
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            yield from walk(below, click.Context(below, info_name=name, parent=context))

print(*walk(main, click.Context(main, info_name="kernel")), sep="\\n")
main(["openapi"], standalone_mode=False)
"""


def said(**env: str) -> str:
    command = [sys.executable, "-c", CODE]
    env = {**os.environ, **env}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def test_help_and_document_say_the_same_when_docstrings_are_left_out() -> None:
    plain = said()
    assert plain.count("Usage: kernel") > 60
    assert said(PYTHONOPTIMIZE="2") == plain
