"""The wheel: what somebody gets who installs it, without the checkout around it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Not Python, and needed at run time all the same.
BESIDE_THE_CODE = {".html", ".css", ".js", ".svg", ".png", ".json", ".txt", ".woff2", ".ico"}
BUILD = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the backend that pyproject.toml names, as `pip wheel` would."""
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


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
