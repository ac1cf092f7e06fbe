"""Where each peer is installed: a virtual environment or a Node folder in var/peers."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.systems import ROOT

PLACE = ROOT / "var" / "peers"
PINNED = ROOT / "bench" / "peers" / "requirements"
NAMES = ("oban", "absurd", "procrastinate", "dbos", "restate")
# Oban is the only one that needs more than kernel does.
OLDEST: Mapping[str, tuple[int, int]] = {"oban": (3, 12)}
NEWEST = 14
INSTALL_SECONDS = 600


class Missing(Exception):
    """A peer cannot be had on this machine, for this reason."""


def pinned(name: str) -> dict[str, str]:
    """Return the packages of a peer and their versions, from its file of requirements."""
    found = re.findall(r"^([\w.-]+)==(\S+)$", (PINNED / f"{name}.txt").read_text(), re.MULTILINE)
    versions = dict(found)
    if name == "restate":
        text = (PINNED / "package.json").read_text()
        versions |= dict(re.findall(r'"(@restatedev/[\w-]+)": "([\d.]+)"', text))
    return versions


def python_of(name: str) -> Path:
    """Return the interpreter of a peer's environment, made on first use. Raises Missing."""
    place, wanted = PLACE / name, PINNED / f"{name}.txt"
    python, stamp = place / "bin" / "python", place / ".stamp"
    fingerprint = hashlib.sha256(wanted.read_bytes() + str(place).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == fingerprint:
        return python
    base = interpreter(OLDEST.get(name, (3, 11)))
    shutil.rmtree(place, ignore_errors=True)
    _run([base, "-m", "venv", str(place)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--no-deps", "-r", str(wanted)])
    stamp.write_text(fingerprint)
    return python


def restate_server() -> Path:
    """Return the program of Restate's server, installed on first use. Raises Missing."""
    place = PLACE / "node"
    binary = "node_modules/@restatedev/restate-server-*/bin/restate-server"
    stamp, wanted = place / "package.json", PINNED / "package.json"
    found = list(place.glob(binary))
    if not found or stamp.read_bytes() != wanted.read_bytes():
        if shutil.which("npm") is None:
            raise Missing("there is no npm, whose registry has Restate's server")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copy(wanted, stamp)
        # Its scripts would download or report something; the server is in the package.
        _run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], place)
        found = list(place.glob(binary))
    if not found:
        raise Missing("npm's package of Restate's server has none for this system")
    return found[0]


def version_of(python: Path) -> str:
    """Return the version of an interpreter."""
    asked = "import platform; print(platform.python_version())"
    return subprocess.check_output([str(python), "-c", asked], text=True).strip()


def interpreter(oldest: tuple[int, int]) -> str:
    """Return a Python that is recent enough: this one, or another on the machine."""
    if sys.version_info >= oldest:
        return sys.executable
    for candidate in _others(oldest):
        asked = f"import sys, venv, ensurepip; print(sys.version_info >= {oldest})"
        said = subprocess.run([candidate, "-c", asked], capture_output=True, text=True, check=False)
        if said.stdout.strip() == "True":
            return candidate
    wanted = ".".join(map(str, oldest))
    raise Missing(f"needs Python {wanted} or newer: name one in BENCH_PYTHON=/path/to/python")


def _others(oldest: tuple[int, int]) -> Iterator[str]:
    if named := os.environ.get("BENCH_PYTHON"):
        yield named
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(oldest[1], NEWEST + 1):
        program = f"python3.{minor}"
        if found := shutil.which(program):
            yield found
        yield from map(str, sorted(pyenv.glob(f"3.{minor}.*/bin/{program}")))


def _run(command: list[str], folder: Path = ROOT) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{Path(command[0]).name} failed: {error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{' '.join(command[-4:])} failed: {said[-1] if said else done.returncode}")
