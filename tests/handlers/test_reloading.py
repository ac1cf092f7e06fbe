"""Handlers follow their files: what is watched, imported anew, and kept when it is broken."""

import os
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.errors import ConfigurationError
from kernel.handlers import load_handlers
from kernel.handlers.reloading import Sources

CODE = """
    from pydantic import BaseModel
    from kernel import Handlers
    from reloaded import words
    handlers = Handlers()

    class Args(BaseModel):
        pass

    @handlers.register("say", Args)
    def say(run, args):
        return {"said": words.WORD}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of handlers on the import path."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "reloaded"
    folder.mkdir()
    write(folder / "__init__.py", "")
    write(folder / "words.py", "WORD = 'one'")
    write(folder / "work.py", CODE)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "reloaded"]:
        del sys.modules[name]


@pytest.fixture
def sources(package: Path) -> Sources:
    load_handlers("reloaded.work:handlers")
    return Sources("reloaded.work:handlers")


def write(file: Path, text: str) -> None:
    file.write_text(textwrap.dedent(text))


def seen(sources: Sources) -> bool:
    """Whether a change is seen in two looks."""
    return [sources.have_changed(), sources.have_changed()][-1]


def said(sources: Sources) -> object:
    return sources.load()["say"].function(None, None)  # type: ignore[arg-type]


def test_watched_are_the_authors_own_files_alone(sources: Sources, package: Path) -> None:
    mine = {file for file in sources.files if package in file.parents}
    assert {file.name for file in mine} == {"__init__.py", "words.py", "work.py"}
    assert not [file for file in sources.files if "site-packages" in file.parts]
    assert not [file for file in sources.files if file.match("*/kernel/handlers/*.py")]


def test_nothing_has_changed_until_a_file_has(sources: Sources) -> None:
    assert not seen(sources)


def test_change_is_told_once_when_it_has_settled(sources: Sources, package: Path) -> None:
    write(package / "words.py", "WORD = 'three'")
    assert not sources.have_changed()  # it may be half written
    assert sources.have_changed()
    assert [file.name for file in sources.changed] == ["words.py"]
    assert not seen(sources)


def test_module_below_is_imported_anew_though_size_and_second_are_the_same(
    sources: Sources, package: Path
) -> None:
    for word in ("two", "six", "ten"):
        write(package / "words.py", f"WORD = '{word}'")
        assert said(sources) == {"said": word}


@pytest.mark.parametrize(
    "broken", ["WORD = ", "raise SystemExit(3)", "import nowhere", "WORD = 1 / 0"]
)
def test_broken_file_leaves_the_modules_as_they_were(
    sources: Sources, package: Path, broken: str
) -> None:
    before = sys.modules["reloaded.words"]
    write(package / "words.py", broken)
    with pytest.raises(ConfigurationError):
        sources.load()
    assert sys.modules["reloaded.words"] is before
    write(package / "words.py", "WORD = 'mended'")
    assert seen(sources)
    assert said(sources) == {"said": "mended"}


def test_file_that_was_missing_is_seen_when_it_appears(sources: Sources, package: Path) -> None:
    write(package / "words.py", "from reloaded.more import WORD")
    with pytest.raises(ConfigurationError, match=r"reloaded\.more"):
        sources.load()
    write(package / "more.py", "WORD = 'more'")
    assert seen(sources)
    assert said(sources) == {"said": "more"}
    write(package / "more.py", "WORD = 'still more'")
    assert seen(sources)


def test_file_that_goes_is_a_change(sources: Sources, package: Path) -> None:
    (package / "words.py").unlink()
    assert seen(sources)
    with pytest.raises(ConfigurationError):
        sources.load()


WATCHED = """
from kernel.handlers import load_handlers
from kernel.handlers.reloading import Sources

load_handlers("mine:handlers")
print(*Sources("mine:handlers").files)
"""


def test_files_in_a_folder_that_is_an_environment_itself_are_watched(tmp_path: Path) -> None:
    """`python -m venv .`: scripts and data of the installation lie in the author's folder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    (tmp_path / "mine.py").write_text("from kernel import Handlers\nhandlers = Handlers()\n")
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [tmp_path / "bin" / "python", "-c", WATCHED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == [str(tmp_path / "mine.py")], done.stderr
