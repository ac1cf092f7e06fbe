"""Runs a selection of the tests with the lowest or the highest versions that pyproject.toml allows.

An environment of its own for each Python, in var/pins. Lowest: of every package in pyproject.toml
the oldest that it allows. Highest: the newest on the index, of packages in EARLY the pre-releases
as well. Exit code 0 when the tests pass with each, 1 when they do not, 2 when it cannot run here.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "var" / "pins"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# Of these the next release is tried before it is one.
EARLY = ("alembic", "celery[redis]", "flask", "kombu", "redis", "sqlalchemy")
# What leans on these packages most, in some minutes on one database: handlers and settings, rows,
# migrations, runs, a worker and its broker, callbacks, API and pages, and a whole system.
# `--all`: every test.
SELECTION = (
    *("tests/handlers", "tests/config", "tests/worker", "tests/system/test_stack.py"),
    *("tests/db/conformance", "tests/db/statements", "tests/db/schema/test_migrate.py"),
    *(f"tests/runs/test_{one}.py" for one in ("execute", "fence", "steps", "transaction_ended")),
    *(f"tests/transport/test_{one}.py" for one in ("adapter", "client", "tls_identity")),
    *(f"tests/views/test_{one}.py" for one in ("api", "api_errors", "app", "events", "metrics")),
    *(f"tests/views/test_{one}.py" for one in ("mounting", "openapi", "order_page", "original")),
    *(f"tests/views/dashboard/test_{one}.py" for one in ("entry", "oidc", "orders", "overview")),
)


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what it does not know is pytest's."""
    parser = argparse.ArgumentParser(prog="./run pins", description=__doc__)
    parser.add_argument("kind", choices=["lowest", "highest"])
    told = "a version or a path; 'all': those of 3.11 to 3.14 that are here  [repeatable]"
    parser.add_argument("--python", action="append", default=[], help=told)
    parser.add_argument("--all", action="store_true", help="every test, not only the selection")
    return parser.parse_known_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run what was asked for."""
    asked, more = parse(argv)
    uv = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        print("pins: needs uv, and pip could not install it", file=sys.stderr)
        return 2
    codes = []
    for name in _wanted(asked.python):
        python = shutil.which(name) or shutil.which(f"python{name}")
        if python is None:
            print(f"pins: there is no python{name} here; it is left out", file=sys.stderr)
            continue
        environment = _make(uv, asked.kind, python)
        _tell(environment, asked.kind)
        codes.append(_test(environment, asked.all, more))
    return max(codes, default=2)


def _wanted(pythons: Sequence[str]) -> list[str]:
    if "all" in pythons:
        return [*PYTHONS, *(one for one in pythons if one != "all")]
    return list(pythons) or [sys.executable]


def _make(uv: str, kind: str, python: str) -> Path:
    """Make the environment anew: the index may have newer packages today."""
    told = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = subprocess.check_output([python, "-c", told], text=True).strip()
    environment = FOLDER / f"{kind}-{version}"
    shutil.rmtree(environment, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    pins = FOLDER / f"{kind}-{version}.txt"
    asked = pins.with_suffix(".in")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked.write_text("\n".join(_requirements(project, kind)) + "\n")
    resolution = "lowest-direct" if kind == "lowest" else "highest"
    _run(
        *(uv, "pip", "compile", "-q", "--no-annotate", "--no-header", "--python-version", version),
        *("--resolution", resolution, str(asked), "-o", str(pins)),
    )
    _run(uv, "venv", "-q", "--python", python, str(environment))
    install = (uv, "pip", "install", "-q", "--python", str(environment / "bin" / "python"))
    development = FOLDER / "development.txt"
    development.write_text("\n".join(_group(project, "dev")) + "\n")
    _run(*install, "-r", str(pins), "-r", str(development))
    _run(*install, "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    return environment


def _requirements(project: dict[str, Any], kind: str) -> list[str]:
    """What pyproject asks for with every extra; for `highest` with pre-releases of some."""
    found: list[str] = [*project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        found += extra
    if kind == "highest":  # naming a pre-release allows them
        found += [f"{name}>=0.0.dev0" for name in EARLY]
    return found


def _group(project: dict[str, Any], name: str) -> list[str]:
    found: list[str] = []
    for one in project["dependency-groups"][name]:
        found += [one] if isinstance(one, str) else _group(project, one["include-group"])
    return found


def _run(*argv: str) -> None:
    subprocess.run(argv, cwd=ROOT, check=True)


def _tell(environment: Path, kind: str) -> None:
    """Say which versions are tested."""
    pins = environment.with_suffix(environment.suffix + ".txt").read_text().split()
    names = tuple(name.partition("[")[0] + "==" for name in EARLY)
    print(f"pins: {environment.name}:", *(one for one in pins if one.startswith(names)), flush=True)


def _test(environment: Path, every: bool, more: Sequence[str]) -> int:
    argv = [str(environment / "bin" / "python"), "-m", "pytest", "-q", *more]
    env = {**os.environ, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}
    if not every:
        env.setdefault("KERNEL_TEST_DATABASES", "main")
    done = subprocess.run([*argv, *(() if every else SELECTION)], cwd=ROOT, env=env, check=False)
    return 0 if done.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
