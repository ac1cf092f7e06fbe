"""A private PostgreSQL for tests; see `tests.support.servers`.

The server refuses to run as root: there it and its files belong to another user of the system.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from tests.support.servers import Server, missing
from tests.support.waiting import is_running, wait_until

# Debian's folder for each version; elsewhere the programs are on the PATH.
FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: float(one.parent.name))
USERS = ("postgres", "nobody")

DELETE_ALL = """DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'kernel_alembic_version'
    LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
END $$"""


def program(name: str) -> str:
    """Return the path of a program of the newest PostgreSQL that is installed; skip without."""
    unpacked = Path("var/services/usr/lib/postgresql").absolute().glob("*/bin")
    places = [*map(str, reversed(FOLDERS)), *map(str, unpacked), os.environ.get("PATH", "")]
    found = shutil.which(name, path=os.pathsep.join(places))
    return found or missing(f"{name} is not installed: ./run test installs it")


class PostgreSQL(Server):
    """A PostgreSQL with the collation of a language and little memory.

    Nothing reaches the disk unless it is ``durable``: a killed server loses nothing by that.

    `stop` is its fast shutdown: it would wait for its clients otherwise.
    """

    stop_signal = signal.SIGINT

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__()
        self._durable = durable
        self._data = self.folder / "data"
        self._numbers = itertools.count(1)

    def start(self) -> None:
        if not self._data.exists():
            self._install()
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        super().start()

    def kill(self) -> None:
        """End it and what it has started; a new one would find their memory in use otherwise."""
        children = self._children()
        super().kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, children)))

    def pause(self) -> None:
        super().pause()
        self._tell_children(signal.SIGSTOP)

    def resume(self) -> None:
        self._tell_children(signal.SIGCONT)
        super().resume()

    def argv(self) -> list[str]:
        options = f"""
            -D {self._data} -p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1
            -c max_connections=200 -c shared_buffers=64MB -c max_prepared_transactions=5
            -c random_page_cost=1.1
        """
        if not self._durable:
            options += "-c fsync=off -c full_page_writes=off"
        return [*_as_another(), program("postgres"), *options.split()]

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements as the owner of the server; return the rows of the last one."""
        with self._connect(database) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            rows = [] if cursor.description is None else cursor.fetchall()
        connection.close()
        return rows

    def create_database(self) -> str:
        """Make a new empty database and return its SQLAlchemy URL."""
        name = f"kernel_test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://kernel@127.0.0.1:{self.port}/{name}"

    def empty(self, url: str) -> None:
        """Delete all rows of this URL's database but its version."""
        with closing(self._connect(str(make_url(url).database))) as connection:
            _disconnect_others(connection)
            # As a replica: foreign keys are not looked at.
            connection.execute("SET session_replication_role = replica")
            # A DELETE of few rows is much quicker than a TRUNCATE, which makes files.
            connection.execute(DELETE_ALL)

    def drop(self, url: str) -> None:
        """Remove the database of this URL."""
        self.execute(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    def _connect(self, database: str) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="kernel",
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _install(self) -> None:
        self.folder.chmod(0o755)
        self._data.mkdir(mode=0o700)
        if (owner := _owner()) is not None:
            # The folder as well: the server makes its socket there.
            for folder in (self.folder, self._data):
                os.chown(folder, owner.pw_uid, owner.pw_gid)
        command = [*_as_another(), *self._making(str(self._data))]
        done = subprocess.run(command, capture_output=True, check=False, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr

    def _making(self, data: str) -> list[str]:
        """Return the command that fills the empty folder ``data``."""
        command = [program("initdb"), "-D", data, "-U", "kernel"]
        command += ["--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C.UTF-8"]
        if _version() >= 15:  # sorted as in a language, which a server may well be set to
            command += ["--locale-provider=icu", "--icu-locale=en-US"]
        return command

    def _children(self) -> list[int]:
        try:
            found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in found.split()]

    def _tell_children(self, number: signal.Signals) -> None:
        for pid in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class Standby(PostgreSQL):
    """A copy of a running primary, which its write-ahead log streams to; it takes no writes.

    Once `follow` has returned, the primary acknowledges no commit that the standby does not have.
    """

    def __init__(self, primary: PostgreSQL) -> None:
        super().__init__()
        self._primary = primary

    def follow(self) -> None:
        """Start, and have the primary wait for it with every commit."""
        self.start()
        names = "ALTER SYSTEM SET synchronous_standby_names = '*'"
        self._primary.execute(names, "SELECT pg_reload_conf()")
        asked = "SELECT sync_state FROM pg_stat_replication"
        wait_until(lambda: self._primary.execute(asked) == [("sync",)])

    def promote(self) -> None:
        """Become the primary; returns when it takes writes."""
        assert self.execute("SELECT pg_promote()") == [(True,)]

    def _making(self, data: str) -> list[str]:
        server = ["-h", "127.0.0.1", "-p", str(self._primary.port), "-U", "kernel"]
        backup = [program("pg_basebackup"), "-D", data, *server, "--no-sync"]
        return [*backup, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"]


def _disconnect_others(connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
    """End the other connections to this database: their locks would make us wait."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    # Not with the timeout that the function takes: it looks ten times a second, at one connection
    # after the other.
    connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
    wait_until(lambda: not connection.execute(f"SELECT 1 {others} LIMIT 1").fetchall())


def _version() -> int:
    said = subprocess.run([program("postgres"), "--version"], capture_output=True, check=True)
    return int(said.stdout.split()[2].split(b".")[0])


def _owner() -> pwd.struct_passwd | None:
    """Return the user that the server runs as when we are root; None when it may run as we do."""
    if os.geteuid() != 0:
        return None
    for name in USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return missing("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _as_another() -> list[str]:
    owner = _owner()
    if owner is None:
        return []
    # The system forgets with whom a process ends when it takes another user: say it again.
    ids = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--pdeathsig=KILL"]
