"""The processes and the command line of an older release, installed by `releases.install`."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import create_engine, text

from kernel.cli.local.processes import Child, Program
from tests.support.stack import PATIENCE
from tests.support.waiting import wait_until
from tests.upgrade.releases import Release
from tests.upgrade.workshop import HOLD

HERE = Path(__file__).parent


class Older:
    """One installation of an older release.

    ``bin``: of its environment; ``settings`` as those of a `Stack`. While the file `hold` is there,
    orders with ``hold`` do not end.
    """

    def __init__(self, bin: Path, folder: Path, settings: dict[str, Any]) -> None:
        self.bin = bin
        self.folder = folder
        self.hold = folder / "hold"
        self.settings = settings
        self.url = f"http://{settings['bind']}"
        self.children: list[Child] = []
        self._env = {f"KERNEL_{key.upper()}": str(value) for key, value in settings.items()}
        # Neither the checkout's kernel nor its tests: only what is beside this file.
        self._env |= {"PYTHONPATH": str(HERE), "PYTHONSAFEPATH": "1", HOLD: str(self.hold)}

    def run(self, *argv: str, given: str = "") -> str:
        """Run a command of its command line; return what it printed."""
        done = subprocess.run(
            [str(self.bin / "kernel"), *argv],
            env={**os.environ, **self._env},
            cwd=self.folder,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *argv: str, given: str = "") -> Any:
        """Run a command that prints JSON."""
        return json.loads(self.run(*argv, "--json", given=given))

    def api(self) -> Child:
        """Start gunicorn; return when it answers."""
        config = next(self.bin.parent.glob("lib/python*/site-packages/kernel/gunicorn.conf.py"))
        argv = [str(self.bin / "python"), "-m", "gunicorn", "-c", str(config), "kernel:app"]
        return self._start("old-api", argv, self._answers)

    def worker(self) -> Child:
        """Start a worker; return when it is ready."""
        argv = [str(self.bin / "kernel"), "worker"]
        before = self.log().count("ready.")
        return self._start("old-worker", argv, lambda: self.log().count("ready.") > before)

    def delivered(self, release: Release) -> int:
        """Of how many callbacks its rows say that they arrived: a while after they did."""
        table = "kernel_deliveries" if release.has_own_names else "deliveries"
        engine = create_engine(self.settings["database_url"])
        with engine.connect() as connection:
            found = connection.scalar(
                text(f"SELECT COUNT(*) FROM {table} WHERE state = 'delivered'")
            )
        engine.dispose()
        return int(found or 0)

    def end(self, child: Child) -> None:
        """End a process in an orderly way."""
        os.kill(child.pid, signal.SIGTERM)
        wait_until(lambda: child.returncode is not None, PATIENCE, f"end of {child.pid}")

    def close(self) -> None:
        """Kill what still runs."""
        for child in self.children:
            with suppress(ProcessLookupError):
                child.kill()

    def log(self) -> str:
        """What its processes said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("old-*.log")))

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def _start(self, name: str, argv: list[str], ready: Callable[[], bool]) -> Child:
        log = self.folder / f"{name}-{len(self.children)}.log"
        # gunicorn and Celery import from where they are started, which is no checkout.
        child = Child(Program(name, ["env", "-C", str(self.folder), *argv], self._env), log)
        self.children.append(child)
        wait_until(lambda: child.returncode is not None or ready(), PATIENCE, name)
        assert child.returncode is None, log.read_text()
        return child
