"""The shop beside the installation: makes it, has it trade and migrate, and checks its rows."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kernel.cli.local.processes import Child, Program
from kernel.db.schema.version import SCHEMA
from tests.chaos.checks.record import LEFT, TWICE, WORK_LOST, WRONG, Finding

APP = Path(__file__).with_name("shop_app.py")
BIN = Path(sys.executable).parent
SECONDS = 60.0
# Names that none of the shop's migrations may have.
KERNEL = ("kernel_", "project_tb_project")


class Shop:
    """One shop. ``system`` is the installation in whose database it lives."""

    def __init__(self, system: Any) -> None:
        self.system = system
        self.folder = system.folder / "shop"
        self.book = self.folder / "book.jsonl"
        self.release = "1"
        self.said: list[Finding] = []
        self._child: Child | None = None

    # ---- its life

    def open(self) -> None:
        """Make its tables by its own first migration, before kernel makes any."""
        self.folder.mkdir()
        self._flask("db", "init")
        self._migrate()

    def start(self) -> None:
        """Begin to trade."""
        argv = [*self._command(), "trade"]
        self._child = Child(Program("shop", argv, self._env()), self.folder / "shop.log")

    def renew(self) -> None:
        """Go over to its second release, whose migration it makes and applies."""
        self.release = "2"
        self._migrate()

    def stop(self) -> None:
        """End trade, in an orderly way."""
        if self._child is not None and self._child.returncode is None:
            os.kill(self._child.pid, signal.SIGTERM)
            self.system.wait(lambda: self._child.returncode is not None, 10)
        self.close()

    def close(self) -> None:
        """Leave nothing running."""
        if self._child is not None:
            self._child.kill()

    def _migrate(self) -> None:
        self._flask("db", "migrate", "-m", f"release {self.release}")
        self._flask("db", "upgrade")

    def _flask(self, *argv: str) -> None:
        """Run a command of Flask's while the processes under test are kept running."""
        with (self.folder / "flask.log").open("ab") as log:
            done = subprocess.Popen(
                [*self._command(), *argv], env=self._env(), cwd=self.folder, stdout=log, stderr=log
            )
            self.system.wait(lambda: done.poll() is not None, SECONDS)
            if done.poll() is None:
                done.kill()
            if done.wait() != 0:
                self.said.append(Finding(WRONG, f"shop: flask {' '.join(argv)} failed"))

    def _command(self) -> list[str]:
        return [str(BIN / "flask"), "--app", str(APP)]

    def _env(self) -> dict[str, str]:
        return {
            **os.environ,
            "SHOP_DATABASE_URL": self.system.database_url,
            "SHOP_RELEASE": self.release,
            "SHOP_BOOK": str(self.book),
        }

    # ---- what is there

    def check(self) -> Iterator[Finding]:
        """What is not as the shop has left it. Ask when its installation has ended."""
        self._flask("db", "check")  # it has all tables and columns that it knows, and only those
        yield from self.said
        yield from self._check_rows()
        yield from self._check_versions()

    def _check_rows(self) -> Iterator[Finding]:
        tried, done = self._entries("tried"), self._entries("done")
        if not done:
            yield Finding(WORK_LOST, "shop: it has sold nothing")
        rows = self.system.ask("SELECT customer, state FROM orders") or []
        found = dict(rows)
        if len(found) != len(rows):
            yield Finding(TWICE, "shop: an order is there twice")
        for customer, states in done.items():
            if customer not in found:
                yield Finding(WORK_LOST, f"shop: the order of {customer} is gone")
            elif found[customer] not in (states[-1], tried[customer][-1]):
                yield Finding(WRONG, f"shop: {customer} is {found[customer]}, not {states[-1]}")
        for customer in found.keys() - tried.keys():
            yield Finding(LEFT, f"shop: it has not sold the order of {customer}")

    def _check_versions(self) -> Iterator[Finding]:
        migrations = sorted((self.folder / "migrations" / "versions").glob("*.py"))
        if len(migrations) != 2:
            yield Finding(WRONG, f"shop: {len(migrations)} migrations, not 2")
        for path in migrations:
            if any(name in path.read_text() for name in KERNEL):
                yield Finding(WRONG, f"shop: its migration {path.name} names a table of kernel's")
        known = {path.name.partition("_")[0] for path in migrations}
        versions = self.system.ask("SELECT version_num FROM alembic_version") or []
        if len(versions) != 1 or versions[0][0] not in known:
            yield Finding(WRONG, f"shop: its alembic_version says {versions}")
        ours = self.system.ask("SELECT version_num FROM kernel_alembic_version")
        if ours != [(SCHEMA,)]:
            yield Finding(WRONG, f"shop: kernel_alembic_version says {ours}")

    def _entries(self, kind: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for line in self.book.read_text().splitlines() if self.book.exists() else ():
            entry = json.loads(line)
            if kind in entry:
                found.setdefault(entry["customer"], []).append(entry[kind])
        return found

    def figures(self) -> dict[str, int]:
        """How much it has sold."""
        return {"orders that the shop beside it sold": len(self._entries("done"))}
