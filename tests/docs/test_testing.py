"""docs/howto/testing.md, followed to the letter: its files, its tests, and their types."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "testing.md").read_text()
FILE = re.compile(r"Save this as `([\w.]+)`.*?^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's files."""
    files = dict(FILE.findall(PAGE))
    assert list(files) == ["accounts.py", "conftest.py", "pytest.ini", "test_accounts.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(folder: Path, *module: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *module],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tests_of_the_page_pass_when_they_are_pasted(folder: Path) -> None:
    command = ("pytest", "-p", "no:cacheprovider", "-q")
    assert "6 passed" in run(folder, *command, PYTHONPATH=str(ROOT))


def test_handler_and_tests_of_the_page_pass_mypy_when_it_is_strict(folder: Path) -> None:
    (folder / "mypy.ini").write_text("[mypy]\nplugins = pydantic.mypy\n")
    command = ("mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "pages"), ".")
    run(folder, *command, MYPYPATH=str(ROOT))
