"""The system under test: real servers and processes, and the keeper that starts them again.

Everything is started from the main thread, ends with it, and is ended by its process id.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import make_url

from kernel.builtin import handlers as builtin_handlers
from kernel.callers import keys
from kernel.cli.local.processes import Child, Program
from kernel.cli.local.programs import answers
from kernel.cli.local.supervisor import free_port
from kernel.config.settings import load as load_settings
from kernel.db.schema import migrate
from kernel.runtime.kernel import Kernel
from tests.chaos.brokers import RabbitMQ, make_broker
from tests.chaos.database import REFUSED, ChaosMariaDB, connect, make_server
from tests.chaos.effects import Effects
from tests.chaos.gated_handlers import EFFECTS
from tests.chaos.handlers import ROWS, TABLES
from tests.chaos.odd_handlers import ODD_TABLES
from tests.chaos.orders import LANES
from tests.chaos.receiver import Book, Receiver
from tests.support.servers import Server
from tests.support.stack import children_of, family

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
RECEIVERS = 5
START_SECONDS = 60.0
LEASE_SECONDS = 5
COMMANDS: dict[str, tuple[str, ...]] = {
    "api": ("gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "kernel:app"),
    "worker-a": ("kernel", "worker"),
    "worker-b": ("kernel", "worker"),
    "dispatcher": ("kernel", "dispatcher"),
}
READY = {"worker-a": "ready.", "worker-b": "ready.", "dispatcher": "dispatcher started"}


@dataclass(frozen=True)
class Plan:
    """What is started."""

    variant: str
    folder: Path
    broken: str = ""


class System:
    """One installation and its keeper: what ends is started again by `tick`."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.folder = plan, plan.folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.broker: Server = make_broker(plan.variant)
        self.database = make_server(plan.variant)
        self.children: dict[str, Child] = {}
        self.extra: dict[str, dict[str, str]] = {}
        # What stands before a process's command: it runs on a host of its own.
        self.prefix: dict[str, list[str]] = {}
        # Called when the servers run and the database has no tables yet.
        self.move_in: Callable[[], None] = lambda: None
        # Processes that are not started again for the time being.
        self.held: set[str] = set()
        self.disk_full = self.folder / "disk-full"
        self.receivers: list[Receiver] = []
        self.restarts = 0

    def __enter__(self) -> Self:
        self.broker.start()
        self.database_url = self.client_url = self._make_database()
        self.move_in()
        if self.mariadb is not None:
            self.client_url = self.mariadb.plain(self.database_url)
        migrate.upgrade(self.database_url)
        kernel = Kernel(
            load_settings(database_url=self.database_url, result_backend=""), builtin_handlers
        )
        with kernel.write_session() as session:
            made = keys.add(session, "chaos", kernel.clock.now())
        kernel.close()
        assert made.api_key is not None
        assert made.signing_secret is not None
        self.api_key = made.api_key.get_secret_value()
        self.calls = Book(self.folder / "callbacks.jsonl")
        secret = made.signing_secret.get_secret_value()
        self.receivers = [Receiver(self.calls, secret) for _ in range(RECEIVERS)]
        odd = ODD_TABLES if self.mariadb is not None else ()
        for statement in (*TABLES, *odd):
            self.do(statement)
        for name in ROWS:
            self.do(f"INSERT INTO chaos_rows (name, touched) VALUES ('{name}', 0)")
        for name in LANES:
            self.do(f"INSERT INTO chaos_turns (name, turn, owner) VALUES ('{name}', 0, '')")
        self.effects = Effects(self.folder / "effects.jsonl")
        return self

    def __exit__(self, *_: object) -> None:
        self.end_processes()
        for receiver in self.receivers:
            receiver.down()
        if (effects := getattr(self, "effects", None)) is not None:
            effects.close()
        for server in (self.broker, self.database):
            if server is not None:
                server.close()

    def _make_database(self) -> str:
        if self.database is None:
            return f"sqlite:///{self.folder}/kernel.db"
        self.database.start()
        return self.database.create_database()

    @property
    def mariadb(self) -> ChaosMariaDB | None:
        """The database's server, if it is MariaDB."""
        return self.database if isinstance(self.database, ChaosMariaDB) else None

    # ---- processes

    def start(self) -> None:
        """Start every process, and wait until all are ready."""
        for name in COMMANDS:
            self._spawn(name)
        assert self.wait(lambda: all(map(self.is_ready, COMMANDS)), START_SECONDS), self.logs()

    def _spawn(self, name: str) -> None:
        program, *options = COMMANDS[name]
        argv = [*self.prefix.get(name, ()), str(BIN / program), *options]
        env = self._environment() | self.extra.get(name, {})
        self._mark(name)
        self.children[name] = Child(Program(name, argv, env), self.log_file(name))

    def _mark(self, name: str) -> None:
        """Remember where this process's output begins."""
        path = self.log_file(name)
        self._began = getattr(self, "_began", {})
        self._began[name] = path.stat().st_size if path.exists() else 0

    def _environment(self) -> dict[str, str]:
        rabbit = isinstance(self.broker, RabbitMQ)
        settings: Mapping[str, Any] = {
            "database_url": self.client_url,
            "broker_url": self.broker.url(1),  # type: ignore[attr-defined]
            "result_backend": "" if rabbit else self.broker.url(2),  # type: ignore[attr-defined]
            "handlers": "tests.chaos.handlers:handlers",
            "bind": f"127.0.0.1:{self.port}",
            "callback_allow_nets": "127.0.0.1/32",
            "callback_schedule": "1,2,4,8",
            "callback_timeout": 2,
            "lease_seconds": LEASE_SECONDS,
            "sweep_seconds": 1,
            # The harness, its clients and its receivers share this machine with the workers.
            "worker_nice": 0,
        }
        env = {f"KERNEL_{key.upper()}": str(value) for key, value in settings.items()}
        env |= {"PYTHONPATH": str(ROOT), "CHAOS_BREAK": self.plan.broken, "CHAOS_TOGETHER": ""}
        env[EFFECTS] = self.effects.url
        if self.database is None:
            env["CHAOS_DISK_FULL"] = str(self.disk_full)
        return env

    def is_ready(self, name: str) -> bool:
        """Tell whether a process works."""
        if name == "api":
            return answers(f"127.0.0.1:{self.port}")
        with self.log_file(name).open("rb") as log:
            log.seek(self._began[name])
            return READY[name].encode() in log.read()

    def restart(self, name: str, number: int = signal.SIGKILL, **extra: str) -> None:
        """End a process and start it with more environment variables."""
        self.extra[name] = extra
        child = self.children[name]
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)
        self.wait(lambda: child.returncode is not None, 30)
        self.tick()

    def hold(self, *names: str) -> None:
        """End processes in an orderly way, and start them no more until `release`."""
        self.held |= set(names)
        for name in names:
            with suppress(ProcessLookupError):
                os.kill(self.children[name].pid, signal.SIGTERM)

    def release(self, name: str, **extra: str) -> None:
        """Start a process that was held, with more environment variables."""
        self.extra[name] = extra
        self.held.discard(name)
        self.tick()

    def tick(self) -> None:
        """Start again what has ended."""
        for name, child in list(self.children.items()):
            if child.returncode is not None and name not in self.held:
                child.kill()
                self._spawn(name)
                self.restarts += 1

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.wait(lambda: False, seconds)

    def wait(self, condition: Callable[[], object], seconds: float) -> bool:
        """Keep the processes running until ``condition`` holds; False if it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.tick()
            time.sleep(0.05)
        return True

    def main_of(self, worker: str) -> int | None:
        """The process id of a worker's Celery main process."""
        return next(iter(children_of(self.children[worker].pid)), None)

    def pool_of(self, worker: str) -> list[int]:
        """The process ids of a worker's pool."""
        main = self.main_of(worker)
        return [] if main is None else children_of(main)

    def api_workers(self) -> list[int]:
        """The process ids of gunicorn's workers."""
        return children_of(self.children["api"].pid)

    def everybody(self) -> list[int]:
        """The process ids of all that runs, servers left out."""
        return [pid for child in self.children.values() for pid in family(child.pid)]

    def end_processes(self, seconds: float = 20.0) -> None:
        """End them in an orderly way, and kill what is left."""
        children, self.children = self.children, {}
        for child in children.values():
            if child.returncode is None:
                os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(c.returncode is None for c in children.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for child in children.values():
            child.kill()

    def log_file(self, name: str) -> Path:
        """Where a process writes."""
        return self.folder / f"{name}.log"

    def logs(self) -> str:
        """The end of what the processes said."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"==== {p.name}\n{p.read_text()[-3000:]}" for p in paths)

    # ---- the database, asked by the harness on connections of its own

    def ask(self, query: str) -> list[tuple[Any, ...]] | None:
        """Return the rows of a query; None when the database does not answer."""
        try:
            return list(self._asked(query))
        except REFUSED:
            return None

    def do(self, statement: str) -> None:
        """Run a statement and commit it."""
        list(self._asked(statement))

    def _asked(self, statement: str) -> Iterator[tuple[Any, ...]]:
        connection = self.connect()
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            yield from cursor.fetchall() if cursor.description else ()
            connection.commit()
        finally:
            connection.close()

    def connect(self) -> Any:
        """Open a connection that gives up after some seconds."""
        return connect(self.database, make_url(self.database_url).database or "")

    def unfinished(self, before: float | None = None) -> int | None:
        """How many orders (accepted before that moment) have not ended; None if unknown."""
        live = "'pending', 'waiting', 'running'"
        query = f"SELECT COUNT(*) FROM kernel_orders WHERE state IN ({live})"
        if before is not None:
            moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(before))
            query += f" AND created_at < '{moment}'"
        rows = self.ask(query)
        return None if rows is None else int(rows[0][0])
