"""The machine on which a figure was measured: processor, cores, system and versions."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.processes import TICK_MS
from tests.support.servers import require

PACKAGES = ("celery", "kombu", "redis", "flask", "gunicorn", "sqlalchemy", "pymysql", "requests")


class Cores:
    """Measures how many cores are busy, over all processes of this machine."""

    def __init__(self) -> None:
        self._busy, self._began = self._seconds(), time.monotonic()

    def busy(self) -> float:
        """Return the average number of busy cores since this object was made."""
        return (self._seconds() - self._busy) / (time.monotonic() - self._began)

    @staticmethod
    def _seconds() -> float:
        fields = [int(one) for one in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return (sum(fields) - fields[3] - fields[4]) * TICK_MS / 1000


def busy_with_others(seconds: float = 5.0) -> float:
    """Return the number of busy cores before the bench starts: it should be near zero."""
    cores = Cores()
    time.sleep(seconds)
    return round(cores.busy(), 2)


def machine() -> dict[str, Any]:
    """Return the facts about this machine that figures depend on, for the results."""
    return {
        "cores": os.cpu_count(),
        "processor": _line("/proc/cpuinfo", "model name"),
        "system": _line("/etc/os-release", "PRETTY_NAME").strip('"'),
        "python": platform.python_version(),
        "mariadb": _says(require("mariadbd", "mysqld")),
        "redis": _says(require("redis-server", "valkey-server")),
        "packages": {package: version(package) for package in PACKAGES},
    }


def _line(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    found = [line for line in lines if line.startswith(name)]
    return found[0].partition(":" if ":" in found[0] else "=")[2].strip() if found else "unknown"


def _says(program: str) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return said.stdout.strip().removeprefix(program).strip()
