"""Real servers for tests: a private MariaDB and a private Redis; PostgreSQL has a file of its own.

All listen on a free loopback port, keep their files in a temporary folder and end with the
process that started them, also when that process is killed. Start them from the main thread:
they would end with any other thread (see `kernel.cli.local.supervisor.tethered`).
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import pymysql
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import make_url

from kernel.cli.local.supervisor import free_port, tethered
from tests.support.guards import SERVICES_REQUIRED, shared_servers

START_SECONDS = 30.0
STOP_SECONDS = 15.0


def require(*names: str) -> str:
    """Return the path of the first of these programs that is installed.

    Without any, the test is skipped, which the summary of the run shows with this reason; with
    KERNEL_REQUIRE_SERVICES=1 it fails.
    """
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    missing(f"{names[0]} is not installed: ./run test installs it")


def find_library(name: str) -> Path | None:
    """Return a library of a Debian package, installed or unpacked; None when it is not there.

    ``name`` ends its path: ``galera/libgalera_smm.so``.
    """
    roots = (Path("/usr/lib"), Path("var/services/usr/lib").absolute())
    found = (path for root in roots for path in (*root.glob(name), *root.glob(f"*/{name}")))
    return next(found, None)


def missing(reason: str) -> NoReturn:
    """Skip the test for this reason; fail it with KERNEL_REQUIRE_SERVICES=1."""
    if SERVICES_REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


class Server:
    """One server process with its own port and folder; the folder outlives a restart.

    ``stop_signal`` asks it to end in an orderly way.
    """

    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="kernel-test-"))
        self.process: subprocess.Popen[bytes] | None = None

    def argv(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    def start(self) -> None:
        """Start the server and return when it answers."""
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                tethered(self.argv()), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        shared_servers.add(self.pid)
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End it in an orderly way; by force if it does not end in time."""
        if self.process is None:
            return
        self.resume()
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reap()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port with the same data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers, until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._output()
        return True

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait()
        shared_servers.discard(self.process.pid)
        self.process = None

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not (self._alive() and self.answers()):
            assert time.monotonic() < deadline, f"no answer from {self.argv()}\n{self._output()}"
            time.sleep(0.01)

    def _output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")[-2000:]


class Redis(Server):
    """A Redis that keeps nothing over a restart, like a broker that lost its memory."""

    # As many as the benchmark starts systems, two for each.
    databases = 64

    def argv(self) -> list[str]:
        binary = require("redis-server", "valkey-server")
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --dir {self.folder}"
        options += f" --databases {self.databases}"
        return [binary, *options.split(), "--save", ""]

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self, db: int = 0) -> redis.Redis:
        """Return a client that tries once; use it in a `with` block, or close it."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis("127.0.0.1", self.port, db, socket_timeout=5, retry=once)

    def url(self, db: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{db}"


class MariaDB(Server):
    """A MariaDB with the durability of its defaults and little memory; root has no password."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = self.folder / "sock"
        self._data = self.folder / "data"
        self._numbers = itertools.count(1)

    def start(self) -> None:
        if not self._data.exists():
            self._install()
        super().start()

    def argv(self) -> list[str]:
        return [require("mariadbd", "mysqld"), *self._common(), *self._options()]

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except pymysql.OperationalError:
            return False
        return True

    def execute(self, *statements: str) -> tuple[tuple[object, ...], ...]:
        """Run statements as root on a connection of their own; return the rows of the last one."""
        with self._connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def create_database(self) -> str:
        """Make a new empty schema and return its SQLAlchemy URL."""
        name = f"kernel_test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{name}?charset=utf8mb4"

    def empty(self, url: str) -> None:
        """Delete all rows of this URL's schema but its version: much quicker than a new schema."""
        name = make_url(url).database
        self._disconnect(name)
        tables = self.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            f" AND table_schema = '{name}' AND table_name <> 'kernel_alembic_version'"
        )
        deletes = [f"DELETE FROM {name}.{table}" for (table,) in tables]
        self.execute("SET foreign_key_checks = 0", *deletes)

    def clear(self, url: str) -> None:
        """Empty this URL's schema and drop what a test has made or altered there itself.

        The tables of the kernel stay, which take long to make; `create_tables` makes the others.
        """
        name = make_url(url).database
        own = f"_schema = '{name}'"
        tables = f"SELECT 'TABLE', table_name FROM information_schema.tables WHERE table{own}"
        found = (
            f"{tables} AND table_name NOT LIKE 'kernel\\_%'",
            f"SELECT 'TRIGGER', trigger_name FROM information_schema.triggers WHERE trigger{own}",
            f"SELECT routine_type, routine_name FROM information_schema.routines"
            f" WHERE routine{own}",
        )
        self._disconnect(name)
        made = [each for query in found for each in self.execute(query)]
        self.execute(*(f"DROP {kind} IF EXISTS {name}.{one}" for kind, one in made))
        self.empty(url)

    def drop(self, url: str) -> None:
        """Remove the schema of this URL."""
        name = make_url(url).database
        self._disconnect(name)
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def _disconnect(self, name: str | None) -> None:
        """End the connections that still use this schema: their locks would make us wait."""
        users = self.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
        for (connection_id,) in users:
            with contextlib.suppress(pymysql.OperationalError):  # it has just ended
                self.execute(f"KILL {connection_id}")

    def _connect(self) -> "pymysql.Connection":
        # Not by the socket file: PyMySQL leaves its descriptor open when that connection fails.
        # Without TLS, which costs 16 ms per connection.
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            connect_timeout=5,
            ssl_disabled=True,
            autocommit=True,
        )

    def _install(self) -> None:
        command = [require("mariadb-install-db", "mysql_install_db"), *self._common()]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        command += self.install_options()
        command += ["--force"]  # this machine may not know its own name
        # Not in the common one, where another installation of a server may use the same names.
        env = {**os.environ, "TMPDIR": str(self.folder)}
        done = subprocess.run(command, capture_output=True, check=False, env=env)
        assert done.returncode == 0, done.stdout + done.stderr

    def install_options(self) -> list[str]:
        """What a server must be told before it makes its first files, too."""
        return []

    def _common(self) -> list[str]:
        """For both programs. A server that was unpacked into a folder has its files there."""
        base = Path(require("mariadbd", "mysqld")).parent.parent
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        return ["--no-defaults", f"--datadir={self._data}", f"--basedir={base}", *as_root]

    def _options(self) -> list[str]:
        options = f"""
            --bind-address=127.0.0.1 --port={self.port} --socket={self.socket}
            --pid-file={self.folder}/pid --tmpdir={self.folder} --skip-name-resolve
            --character-set-server=utf8mb4 --collation-server=utf8mb4_general_ci
            --innodb-buffer-pool-size=64M --innodb-log-file-size=16M --key-buffer-size=1M
            --performance-schema=OFF --max-connections=300 --skip-log-bin
        """
        return options.split()
