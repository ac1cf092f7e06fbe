"""The systems measured side by side: kernel, the two peers, and kernel embedded."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from bench.wire import make_request
from kernel.builtin import handlers
from kernel.callers import keys
from kernel.cli.local.processes import Child, Program
from kernel.cli.local.programs import broker_program, is_taken
from kernel.cli.local.supervisor import free_port
from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.runtime.kernel import Kernel
from tests.support.postgresql import PostgreSQL
from tests.support.servers import MariaDB, Redis

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 120.0
PEER_TABLE = """CREATE TABLE project_tb_project (
    id INTEGER PRIMARY KEY AUTO_INCREMENT, projname VARCHAR(255) NOT NULL,
    prodesc TEXT NOT NULL, projctime DATETIME(6) NOT NULL) ENGINE=InnoDB"""


@dataclass
class Servers:
    """The private servers that all systems share, each in schemas of its own.

    PostgreSQL is started by `start_postgresql`; its COMMIT reaches the disk, as MariaDB's does.
    """

    mariadb: MariaDB = field(default_factory=MariaDB)
    redis: Redis = field(default_factory=Redis)
    postgresql: PostgreSQL = field(default_factory=lambda: PostgreSQL(durable=True))
    _next_db: int = 1

    def __enter__(self) -> Self:
        self.mariadb.start()
        self.redis.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.mariadb.close()
        self.redis.close()
        self.postgresql.close()

    def start_postgresql(self) -> None:
        """Start PostgreSQL for a benchmark in which kernel runs on it as well."""
        self.postgresql.start()

    def redis_urls(self) -> tuple[str, str]:
        """Return two Redis databases no other system uses: for a broker and for results."""
        self._next_db += 2
        return self.redis.url(self._next_db - 2), self.redis.url(self._next_db - 1)


class System:
    """Takes orders over HTTP and sends callbacks, with two API and two pool processes."""

    name: ClassVar[str]
    path = "/test/add/"
    calls_back = True

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers, self.folder = servers, folder
        self.port = free_port()
        self.headers: Mapping[str, str] = {}
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        try:
            for program in self.programs():
                file = self.folder / f"{self.name}-{program.name}.log"
                self.children.append(Child(program, file))
            self._wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_up():
            self.check()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def __exit__(self, *error: object) -> None:
        for child in self.children:
            child.kill()

    def programs(self) -> list[Program]:
        """Return the programs to run: the API and the worker come last."""
        raise NotImplementedError

    def is_up(self) -> bool:
        """Tell whether the API listens and the worker has its pool processes."""
        return is_taken(f"127.0.0.1:{self.port}") and "ready." in self.log()

    def check(self) -> None:
        """Fail when a process has ended."""
        for child in self.children:
            assert child.returncode is None, self.log()

    def log(self) -> str:
        """Return the output of its processes."""
        return "\n".join(p.read_text(errors="replace") for p in self.folder.glob(f"{self.name}-*"))

    def pids(self) -> list[int]:
        """Return the roots of the API's and the worker's process trees."""
        return [child.pid for child in self.children[-2:]]

    def request(self, number: int, callback_url: str) -> bytes:
        """Return an order for a project, as bytes ready to send."""
        order = {
            "select_tag": "create_project",
            "projname": f"Bridge {number}",
            "prodesc": "over the river, with two lanes and a pavement",
            "callback_url": callback_url,
        }
        return make_request(self.path, json.dumps(order).encode(), dict(self.headers))


class Peer(System):
    """The original's structure, or its tuned variant."""

    def programs(self) -> list[Program]:
        url = self.servers.mariadb.create_database()
        schema = url.rpartition("/")[2].partition("?")[0]
        self.servers.mariadb.execute(f"USE {schema}", PEER_TABLE)
        broker, results = self.servers.redis_urls()
        env = {"BENCH_DATABASE_URL": url, "BENCH_BROKER_URL": broker}
        env |= {"BENCH_RESULT_BACKEND": results, "PYTHONPATH": str(ROOT)}
        module = f"bench.peers.{self.name}"
        api = ["-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{self.port}", f"{module}:app"]
        # Another instance on the machine would take over this socket, which no program here uses.
        api.insert(2, "--no-control-socket")
        worker = ["-m", "celery", "-A", f"{module}:celery", "worker", "-l", "info", "-c", "2"]
        return [
            Program("api", [sys.executable, *api], env),
            Program("worker", [sys.executable, *worker], env),
        ]


class Original(Peer):
    """The original: a connection and a bare POST per task."""

    name = "original"


class Tuned(Peer):
    """The original, tuned: a pooled engine and one HTTP session."""

    name = "tuned"


class Ours(System):
    """kernel, on MariaDB and Redis, with its defaults: an API key, signed callbacks."""

    name = "ours"
    path = "/v1/orders"

    def settings(self) -> dict[str, str]:
        """Return the settings that name the servers."""
        broker, results = self.servers.redis_urls()
        url = self.servers.mariadb.create_database()
        return {"database_url": url, "broker_url": broker, "result_backend": results}

    def programs(self) -> list[Program]:
        settings = self.settings()
        url = settings["database_url"]
        migrate.upgrade(url)
        kernel = Kernel(load(database_url=url, result_backend=""), handlers)
        with kernel.write_session() as session:
            made = keys.add(session, "bench", kernel.clock.now())
        kernel.close()
        assert made.api_key is not None
        self.headers = {"Authorization": f"Bearer {made.api_key.get_secret_value()}"}
        settings |= {"bind": f"127.0.0.1:{self.port}", "callback_allow_nets": "127.0.0.1/32"}
        env = {f"KERNEL_{name.upper()}": value for name, value in settings.items()}
        env["PYTHONPATH"] = str(ROOT)
        config = str(ROOT / "gunicorn.conf.py")
        api = ["-m", "gunicorn", "-c", config, "kernel:app"]
        return [
            Program("api", [sys.executable, *api], env),
            Program("worker", [str(Path(sys.executable).parent / "kernel"), "worker"], env),
        ]


class OnPostgreSQL(Ours):
    """kernel as in `Ours`, on PostgreSQL."""

    name = "postgresql"

    def settings(self) -> dict[str, str]:
        return super().settings() | {"database_url": self.servers.postgresql.create_database()}


class Embedded(Ours):
    """kernel as `kernel up` runs it: a SQLite file and a broker of its own."""

    name = "embedded"

    def settings(self) -> dict[str, str]:
        self.broker_port = free_port()
        url = f"redis://127.0.0.1:{self.broker_port}"
        database = f"sqlite:///{self.folder}/kernel.db"
        return {"database_url": database, "broker_url": f"{url}/1", "result_backend": f"{url}/2"}

    def programs(self) -> list[Program]:
        programs = super().programs()
        return [broker_program(self.broker_port, self.folder), *programs]


def folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for logs and the embedded database."""
    return tempfile.TemporaryDirectory(prefix="kernel-bench-")
