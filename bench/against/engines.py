"""The other engines: each a program of ours in its own environment, with its own tables.

All but Restate, whose log is its own, keep their orders in the PostgreSQL that kernel uses as well.
"""

import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import ClassVar

from sqlalchemy import make_url

from bench.against.places import python_of, restate_server
from bench.against.systems import (
    Kernel,
    KernelPlain,
    KernelPostgreSQL,
    KernelPostgreSQLPlain,
    Measured,
)
from bench.systems import ROOT, Servers
from kernel.cli.local.processes import Program
from kernel.cli.local.programs import is_taken
from kernel.cli.local.supervisor import free_port

CONCURRENCY = 200
TABLE = """CREATE TABLE project_tb_project (
    id SERIAL PRIMARY KEY, order_id TEXT NOT NULL UNIQUE, projname VARCHAR(255) NOT NULL,
    prodesc TEXT NOT NULL, projctime TIMESTAMPTZ NOT NULL DEFAULT now())"""


class Engine(Measured):
    """Another engine: a program of ours in its own environment, on the same PostgreSQL."""

    path = "/orders"
    # Which of its packages are named in the results.
    packages: ClassVar[tuple[str, ...]] = ()
    # The command that makes its tables, that of a worker, and what a worker prints when it is up.
    installs: ClassVar[tuple[str, ...]] = ()
    worker: ClassVar[tuple[str, ...]] = ()
    says: ClassVar[str] = "ready"

    @classmethod
    def obtain(cls) -> None:
        """Install it, unless it is there. Raises Missing."""
        python_of(cls.name)

    def programs(self) -> list[Program]:
        self.url = self.servers.postgresql.create_database()
        self.execute(TABLE)
        dsn = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.env = {"BENCH_DATABASE_URL": dsn, "PYTHONPATH": str(ROOT), **self.own_env(dsn)}
        self.install()
        return self.processes()

    def processes(self) -> list[Program]:
        """Return the API, of two processes, and two workers."""
        app = [f"bench.peers.{self.name}:api", "--workers", "2", "--log-level", "warning"]
        api = Program("api", self.argv("uvicorn", *app, "--port", str(self.port)), self.env)
        worker = self.argv(*self.worker)
        return [
            api,
            *(Program(f"worker-{one}", worker, self.env | self.identity(one)) for one in (1, 2)),
        ]

    def argv(self, program: str, *arguments: str) -> list[str]:
        """Return a command of the engine's environment."""
        return [str(python_of(self.name).parent / program), *arguments]

    def own_env(self, dsn: str) -> dict[str, str]:
        """Return the variables that the engine reads."""
        return {}

    def identity(self, number: int) -> dict[str, str]:
        """Return the variables that tell a worker which one it is."""
        return {}

    def is_up(self) -> bool:
        return is_taken(f"127.0.0.1:{self.port}") and self.log().count(self.says) >= 2

    def install(self) -> None:
        """Make the engine's tables in the new database."""
        env = {**os.environ, **self.env}
        command = self.argv(*self.installs)
        done = subprocess.run(command, env=env, cwd=self.folder, capture_output=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()


class Oban(Engine):
    """Oban for Python."""

    name = "oban"
    title = "Oban"
    packages = ("oban", "psycopg", "uvicorn", "aiohttp")
    says = "Oban started"
    installs = ("oban", "install")
    worker = ("oban", "start", "--config", "oban.toml", "--log-level", "INFO")

    def own_env(self, dsn: str) -> dict[str, str]:
        config = self.folder / "oban.toml"
        # A job that runs longer than kernel's lease counts as one whose process has ended.
        config.write_text("[lifeline]\ninterval = 10.0\nrescue_after = 30.0\n")
        limit = {"OBAN_QUEUES": f"orders:{CONCURRENCY}", "OBAN_CRON_MODULES": "bench.peers.oban"}
        return {"OBAN_DSN": dsn, "OBAN_POOL_MAX_SIZE": "10", "OBAN_CONFIG": str(config), **limit}

    def argv(self, program: str, *arguments: str) -> list[str]:
        config = str(self.folder / "oban.toml")
        given = (config if one == "oban.toml" else one for one in arguments)
        return super().argv(program, *given)


class Absurd(Engine):
    """Absurd."""

    name = "absurd"
    title = "Absurd"
    packages = ("absurd-sdk", "psycopg", "uvicorn", "aiohttp")
    installs = ("absurdctl", "init")
    worker = ("python", "-m", "bench.peers.absurd")

    def own_env(self, dsn: str) -> dict[str, str]:
        return {"ABSURD_DATABASE_URL": dsn}

    def install(self) -> None:
        super().install()
        self.execute("SELECT absurd.create_queue('orders')")


class Procrastinate(Engine):
    """Procrastinate."""

    name = "procrastinate"
    title = "Procrastinate"
    packages = ("procrastinate", "psycopg", "uvicorn", "aiohttp")
    says = "Starting worker on"
    installs = ("procrastinate", "--app", "bench.peers.procrastinate.app", "schema", "--apply")
    worker = (
        "procrastinate",
        "--app",
        "bench.peers.procrastinate.app",
        "worker",
        "--concurrency",
        str(CONCURRENCY),
    )


class Dbos(Engine):
    """DBOS."""

    name = "dbos"
    title = "DBOS"
    packages = ("dbos", "psycopg", "uvicorn", "aiohttp")
    installs = ("python", "-m", "bench.peers.dbos", "install")
    worker = ("python", "-m", "bench.peers.dbos")

    def identity(self, number: int) -> dict[str, str]:
        return {"DBOS__VMID": f"worker-{number}"}


class Restate(Engine):
    """Restate: its server takes the orders and has a log of its own."""

    name = "restate"
    title = "Restate"
    packages = ("@restatedev/restate-server", "restate-sdk", "Hypercorn", "aiohttp")
    path = "/Orders/create/send"

    @classmethod
    def obtain(cls) -> None:
        super().obtain()
        restate_server()

    def __init__(self, servers: Servers, folder: Path) -> None:
        super().__init__(servers, folder)
        self.admin, self.service = free_port(), free_port()

    def install(self) -> None:
        self._registered = False

    def processes(self) -> list[Program]:
        config = self.folder / "restate.toml"
        config.write_text(self._config())
        store = str(self.folder / "store")
        server = [str(restate_server()), "--config-file", str(config), "--base-dir", store]
        service = self.argv("python", "-m", "bench.peers.restate", str(self.service))
        services = (Program(f"service-{one}", service, self.env) for one in (1, 2))
        return [Program("server", server, self.env), *services]

    def is_up(self) -> bool:
        ports = (self.port, self.admin, self.service)
        listening = all(is_taken(f"127.0.0.1:{port}") for port in ports)
        if self._registered or not listening or self.log().count(self.says) < 2:
            return self._registered
        body = json.dumps({"uri": f"http://127.0.0.1:{self.service}"}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.admin}/deployments",
            body,
            {"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                self._registered = answer.status in (200, 201)
        except (urllib.error.URLError, TimeoutError):
            return False
        return self._registered

    def _config(self) -> str:
        """Return its configuration: loopback, no telemetry, several connections to the service."""
        return f"""
            bind-ip = "127.0.0.1"
            bind-port = {free_port()}
            listen-mode = "tcp"
            disable-telemetry = true
            [ingress]
            bind-address = "127.0.0.1:{self.port}"
            [admin]
            bind-address = "127.0.0.1:{self.admin}"
            disable-web-ui = true
            [worker.invoker]
            http2-streams-per-connection-limit = 16
        """


KINDS: tuple[type[Measured], ...] = (
    Kernel,
    KernelPlain,
    KernelPostgreSQL,
    KernelPostgreSQLPlain,
    Oban,
    Absurd,
    Procrastinate,
    Dbos,
    Restate,
)
