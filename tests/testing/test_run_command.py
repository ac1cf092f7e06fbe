"""`./run test` with a file of a user's own: no server, and none of kernel's settings of pytest."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# All that `run` needs to run tests; no server is among them.
PROGRAMS = "sh basename cat cksum cut dirname env expand grep id mkdir rm sed uname"
INSTALLERS = ("apt-get", "dpkg", "npm", "sudo")
TEST = """
import warnings


def test_it(request, pytestconfig):
    warnings.warn("kernel's own tests would fail", DeprecationWarning)
    assert pytestconfig.getini("filterwarnings") == []
    assert pytestconfig.getini("faulthandler_timeout") == 0
    assert not any(one.startswith("rows:") for one in pytestconfig.getini("markers"))
    assert pytestconfig.getoption("importmode") == "prepend"
    assert not pytestconfig.getoption("numprocesses")
    import beside
"""
OWN = """
def test_it(pytestconfig):
    assert pytestconfig.getini("markers")[0] == "mine"
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an installed .venv, on a machine without any server."""
    folder = tmp_path / "kernel"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("run", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("python", "kernel"):
        made = folder / ".venv" / "bin" / name
        made.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        made.chmod(0o755)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_own.py").write_text("def test_own():\n    pass\n")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in PROGRAMS.split():
        (bin_ / name).symlink_to(shutil.which(name) or name)
    for name in INSTALLERS:
        (bin_ / name).write_text(f'#!/bin/sh\necho {name} >>"{tmp_path}/installed"\nexit 1\n')
        (bin_ / name).chmod(0o755)
    return folder


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Run:
    """Call the checkout's `run test` from a folder."""
    env = {name: value for name, value in os.environ.items() if name in ("HOME", "TMPDIR", "LANG")}
    env |= {"PATH": str(tmp_path / "bin"), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    stamp = "{ pwd; cat requirements.lock requirements-dev.lock pyproject.toml; } | cksum"
    made = subprocess.run(["sh", "-c", stamp], cwd=checkout, capture_output=True, check=True)
    (checkout / ".venv" / ".stamp-development").write_bytes(made.stdout)

    def test(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(checkout / "run"), "test", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
        )

    return test


def written(folder: Path, test: str = TEST, **others: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "test_it.py").write_text(test)
    (folder / "beside.py").write_text("")
    for name, text in others.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


@pytest.mark.parametrize("place", ["beside run", "in a folder of the checkout", "elsewhere"])
def test_file_of_a_user_needs_no_server_and_gets_no_settings_of_ours(
    run: Run, checkout: Path, tmp_path: Path, place: str
) -> None:
    places = {"beside run": checkout, "in a folder of the checkout": checkout / "mine"}
    folder = written(places.get(place, tmp_path / "mine"))
    done = run(folder, "test_it.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert not (tmp_path / "installed").exists()
    assert not (checkout / "var").exists()


def test_file_of_a_user_is_found_from_the_checkout_and_by_node(
    run: Run, checkout: Path, tmp_path: Path
) -> None:
    written(tmp_path / "mine")
    done = run(checkout, "../mine/test_it.py::test_it", "-k", "tests or it")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "installed").exists()


@pytest.mark.parametrize("name", ["pytest_ini", "tox_ini"])
def test_settings_of_the_users_own_folder_hold(run: Run, checkout: Path, name: str) -> None:
    folder = written(checkout / "mine", OWN, **{name: "[pytest]\nmarkers = mine\n"})
    done = run(folder, "test_it.py")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [["tests/test_own.py"], ["-k", "mine"]])
def test_servers_are_installed_for_the_tests_of_kernel_itself(
    run: Run, checkout: Path, tmp_path: Path, arguments: list[str]
) -> None:
    (checkout / "mine").mkdir()
    run(checkout, *arguments, "--co")
    assert "apt-get" in (tmp_path / "installed").read_text()


def test_processes_of_the_tests_of_kernel_itself_keep_what_they_compile(
    run: Run, checkout: Path
) -> None:
    own = 'import os\n\n\ndef test_own():\n    assert "PYTHONDONTWRITEBYTECODE" not in os.environ\n'
    (checkout / "tests" / "test_own.py").write_text(own)
    done = run(checkout, "tests/test_own.py")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_what_a_start_imports_is_compiled_once_after_the_packages_are_installed(
    run: Run, checkout: Path, tmp_path: Path
) -> None:
    (checkout / ".venv" / ".stamp-development").unlink()
    (checkout / ".venv" / "bin" / "activate").write_text(f"VIRTUAL_ENV={checkout}/.venv\n")
    calls = tmp_path / "calls"
    (checkout / ".venv" / "bin" / "python").write_text(f"""#!/bin/sh
echo "$(echo "$*" | tr '\\n' ' ') writes=${{PYTHONDONTWRITEBYTECODE-yes}}" >>"{calls}"
case "$*" in *pip*) exit ;; esac
exec {sys.executable} "$@"
""")
    (tmp_path / "bin" / "tr").symlink_to(shutil.which("tr") or "tr")
    for _ in range(2):
        run(checkout, "tests/test_own.py", "--co")
    lines = calls.read_text().splitlines()
    compiling = [one for one in lines if "kernel.cli.demo" in one]
    assert len(compiling) == 1
    assert compiling[0].endswith("writes=yes")
    (installing,) = [one for one in lines if "-e ." in one]
    assert lines.index(installing) < lines.index(compiling[0])
