"""Handlers that follow their files, and the settings that they have."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kernel.config.settings import load
from kernel.runtime.fresh_handlers import FreshHandlers
from kernel.runtime.kernel import Kernel
from kernel.testing import create_tables, drain, order, poll

CODE = """
from pydantic import BaseModel
from kernel import Handlers
handlers = Handlers()

{settings}
class Args(BaseModel):
    pass

@handlers.register("say", Args)
def say(run, args):
    return {{"said": {said}}}
"""
SETTINGS = """
@handlers.settings
class DeskSettings(BaseModel):
    {fields}

"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path, in which one works."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("fresh_ones", None)


def write(folder: Path, said: str, fields: str = "") -> None:
    settings = SETTINGS.format(fields=fields) if fields else ""
    (folder / "fresh_ones.py").write_text(CODE.format(settings=settings, said=said))


def told(kernel: Kernel) -> object:
    """What the handler says now, after the two looks that see a change."""
    for _ in range(2):
        kernel.one(FreshHandlers).look()
    one = order(kernel, "say", None)
    drain(kernel)
    return poll(kernel, one)["data"]["result"]["said"]


def test_settings_are_read_with_the_handlers_that_have_them(folder: Path, sqlite_url: str) -> None:
    write(folder, "'none'")
    settings = load(
        handlers="fresh_ones:handlers", reload="on", database_url=sqlite_url, result_backend=""
    )
    with closing(Kernel(settings)) as kernel:
        create_tables(kernel)
        assert told(kernel) == "none"
        write(folder, "run.settings.url", "url: str = 'first'")
        assert told(kernel) == "first"
        (folder / "kernel.toml").write_text('[handlers.desk]\nname = "second"\n')
        write(folder, "run.settings.name", "name: str")
        assert told(kernel) == "second"
        write(folder, "run.settings.name + run.settings.token", "name: str; token: str")
        assert told(kernel) == "second", "the old ones stay until the setting is there"
        (folder / "kernel.toml").write_text('[handlers.desk]\nname = "n"\ntoken = "t"\n')
        write(folder, "run.settings.name  + run.settings.token", "name: str; token: str")
        assert told(kernel) == "nt"
