"""The wheel: what somebody gets who installs it, without the checkout around it."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from kernel.db.schema.version import SCHEMA
from tests.support.people.terminal import Terminal

NAME = "kernel-workorders"

ROOT = Path(__file__).resolve().parents[2]
# Not Python, and needed at run time all the same.
BESIDE_THE_CODE = {".html", ".css", ".js", ".svg", ".png", ".json", ".txt", ".woff2", ".ico"}
BUILD = "import hatchling.build, sys; print(hatchling.build.build_{}(sys.argv[1]))"


def build(folder: Path, kind: str = "wheel", root: Path = ROOT, **settings: str) -> Path:
    """Build by the backend that pyproject.toml names, as `pip wheel` would; return the file."""
    argv = [sys.executable, "-c", BUILD.format(kind), str(folder)]
    env = {**os.environ, **settings}
    done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as an installation has them."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, *argv: str, **settings: str) -> str:
    """Run Python on the installed files alone, in a folder without a checkout."""
    env = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", **settings}
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=installed.parent,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shipped(installed: Path) -> set[str]:
    return {
        path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()
    }


def test_wheel_holds_what_the_code_reads_when_built(installed: Path) -> None:
    wanted = {"kernel/gunicorn.conf.py", "kernel/migrations/env.py", "kernel/py.typed"}
    wanted |= {
        f"kernel/migrations/versions/{path.name}"
        for path in (ROOT / "migrations" / "versions").glob("0*.py")
    }
    wanted |= {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "kernel").rglob("*")
        if path.suffix in BESIDE_THE_CODE and "__pycache__" not in path.parts
    }
    assert wanted - shipped(installed) == set()


def test_wheel_holds_nothing_else_when_built(installed: Path) -> None:
    tops = {name.partition("/")[0] for name in shipped(installed)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kernel"}
    assert [name for name in shipped(installed) if "__pycache__" in name] == []


def test_wheel_is_called_by_its_own_name_when_installed(wheel: Path, installed: Path) -> None:
    assert wheel.name.startswith("kernel_workorders-")
    (metadata,) = installed.glob("*.dist-info/METADATA")
    assert "Name: kernel-workorders" in metadata.read_text()
    (scripts,) = installed.glob("*.dist-info/entry_points.txt")
    assert "kernel = kernel.cli.main:main" in scripts.read_text()


def test_wheel_migrates_a_database_when_no_checkout_is_there(
    installed: Path, sqlite_url: str
) -> None:
    code = "import kernel; from kernel.cli.main import main; print(kernel.__file__)"
    code += "; main(['migrate'])"
    printed = run(installed, "-c", code, KERNEL_DATABASE_URL=sqlite_url)
    assert printed.startswith(str(installed)), "imported from the checkout"
    assert "is migrated" in printed


def test_wheel_serves_with_its_own_gunicorn_file_when_no_checkout_is_there(
    installed: Path, sqlite_url: str
) -> None:
    run(
        installed,
        "-c",
        "from kernel.cli.main import main; main(['migrate'])",
        KERNEL_DATABASE_URL=sqlite_url,
    )
    config = str(installed / "kernel" / "gunicorn.conf.py")
    argv = ["-m", "gunicorn", "-c", config, "--check-config", "kernel:app"]
    run(installed, *argv, KERNEL_DATABASE_URL=sqlite_url)


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_same_commit_makes_the_same_bytes_when_built_again_elsewhere(
    kind: str, tmp_path: Path
) -> None:
    told = {"SOURCE_DATE_EPOCH": "1764400000", "SETUPTOOLS_SCM_PRETEND_VERSION": "1.0"}
    elsewhere = tmp_path / "elsewhere"
    names = ("kernel", "migrations", "docs", "examples", "tests", "pyproject.toml", "README.md")
    for name in (*names, "LICENSE", "CHANGELOG.md", "gunicorn.conf.py", ".gitignore"):
        source, copy = ROOT / name, elsewhere / name
        elsewhere.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copyfile(source, copy)
    found = []
    for folder, root in (("one", ROOT), ("other", elsewhere)):
        (tmp_path / folder).mkdir()
        found.append(build(tmp_path / folder, kind, root, **told).read_bytes())
    assert found[0] == found[1]


def test_newer_wheel_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    """By its name alone, as `pip install` decides: the version is that of the commit."""
    first = build(tmp_path, SETUPTOOLS_SCM_PRETEND_VERSION="0.1.0")
    newest = build(tmp_path)
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", python]
    for one in (["--no-index", str(first)], ["--no-index", f"--find-links={tmp_path}", "-U", NAME]):
        done = subprocess.run([*pip, "install", "--no-deps", *one], check=False)
        assert done.returncode == 0
    said = [python, "-c", f"from importlib.metadata import version; print(version('{NAME}'))"]
    installed = subprocess.run(said, capture_output=True, text=True, check=True).stdout.strip()
    assert installed == newest.name.split("-")[1]
    assert installed.startswith("0.2.0")


def test_version_is_told_with_the_migration_it_needs(empty_terminal: Terminal) -> None:
    assert empty_terminal.run("--version").stdout == f"kernel {version(NAME)}, migration {SCHEMA}\n"
