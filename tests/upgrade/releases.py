"""Older releases: which commits they are, and their wheels in environments of their own.

Their dependencies are those of the environment that runs the tests: all of them ask for versions
that it has.
"""

import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"


@dataclass(frozen=True)
class Release:
    """``name`` is what records of it are called; ``schema`` the newest migration that it has."""

    name: str
    commit: str
    schema: str

    @property
    def has_own_names(self) -> bool:
        """Tell whether its tables are called `kernel_...`."""
        return self.schema >= "0005"

    @property
    def has_gates(self) -> bool:
        """Tell whether it knows steps, events, ordering keys, children, receivers, schedules."""
        return self.schema >= "0025"


FIRST = Release("old_names", "fea090b4", "0004")
SECOND = Release("promise", "47a70257", "0008")
THIRD = Release("neighbours", "df3a94a3", "0033")
RELEASES = (FIRST, SECOND, THIRD)


def install(release: Release, folder: Path) -> Path:
    """Build the wheel of a release's commit, install it, return the environment's `bin`.

    Skips the test where the history does not have the commit: a shallow checkout, an archive.
    """
    source = folder / "source"
    source.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "archive", release.commit], cwd=ROOT, capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.skip(f"this checkout's history has no {release.commit}, the release {release.name}")
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    wheel = _build(source, folder)
    environment = folder / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = str(environment / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    # Its own kernel comes first; of the tests' environment only the other packages are seen.
    (site,) = (environment / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def _build(source: Path, folder: Path) -> Path:
    argv = [sys.executable, "-c", BUILD, str(folder)]
    env = {"SETUPTOOLS_SCM_PRETEND_VERSION": "0.1.0", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(argv, cwd=source, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]
