"""SQLite: one file, one writer at a time, no server."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Integer
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from kernel.db.dialects.base import Dialect
from kernel.db.dialects.needs import Needs

# Locked by another process, the disk full or read-only, the file out of reach: nothing of it is the
# statement's. It is all that the driver calls an OperationalError, but SQLITE_ERROR.
PASSING = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_ABORT,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_SCHEMA,
    }
)
# Of these, the ones that no other process has caused: while they last, no lease can be renewed.
OUTAGES = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def file_url(file: str | Path) -> str:
    """Return the URL of a database in this file, for a trial that needs no server."""
    return f"sqlite:///{file}"


class SQLite(Dialect):
    """SQLite in WAL mode. Every transaction begins aloud, and a writing one as a writer.

    A connection dies with its process, and the operating system frees its locks: none is killed.
    """

    names = ("sqlite",)
    driver_errors = (sqlite3.Error,)
    is_remote = False
    clock = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"
    insert = sqlite.Insert
    lock_wait_seconds = 1.5

    def file_of(self, url: URL) -> Path | None:
        """Return the file; None for a database in memory, or one that SQLite's own URI names."""
        named = url.database or ":memory:"
        return None if named == ":memory:" or named.startswith("file:") else Path(named)

    def connect_args(self, read_timeout: int | None) -> dict[str, Any]:
        """Leave waiting to the PRAGMA of `prepare`."""
        return {"timeout": 0}

    def prepare(self, connection: Any, *, brief: bool) -> None:
        """Wait for a writer, write ahead, and reach the disk with every COMMIT."""
        connection.isolation_level = None  # we say BEGIN ourselves; the driver's own loses updates
        connection.execute(f"PRAGMA busy_timeout = {int(self.lock_wait_seconds * 1000)}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    def begin(self, connection: Connection, *, read_only: bool) -> None:
        """Take the write lock with BEGIN: taken later, it could be refused without any waiting."""
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    def is_passing(self, error: BaseException) -> bool:
        """Look the primary result code up."""
        return isinstance(error, sqlite3.OperationalError) and _code(error) in PASSING

    def is_contention(self, error: BaseException) -> bool:
        """Take what passes for that, unless the file or its disk is out of order."""
        return self.is_passing(error) and _code(error) not in OUTAGES

    def blames_statement(self, error: BaseException) -> bool:
        """Look for the result code of an error in a statement: its class is that of a full disk."""
        return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR

    def is_missing_table(self, error: BaseException) -> bool:
        """Read the message: the result code is the same for every error in a statement."""
        return "no such table" in str(error)

    def connection_number(self, connection: Connection) -> int | None:
        """Return None: there is no server to count connections."""
        return None

    def kill_connection(self, connection: Connection, number: int) -> None:
        """Do nothing: no connection has a number."""

    def limit_silence(self, connection: Connection, seconds: int) -> None:
        """Do nothing: no server waits for this client."""

    can_end_unseen = False

    def deny_transactions(self, connection: Any, record: Any) -> None:
        """Have SQLite itself refuse BEGIN, COMMIT and ROLLBACK while a handler runs."""

        def allow(action: int, *_: Any) -> int:
            guard = (
                record.info.get("kernel_guard") if action == sqlite3.SQLITE_TRANSACTION else None
            )
            return sqlite3.SQLITE_DENY if guard is not None and guard.sealed else sqlite3.SQLITE_OK

        connection.set_authorizer(allow)

    def holds_transaction(self, connection: Connection) -> bool:
        """Ask the driver: SQLite rolls a transaction back by itself when its disk fails."""
        dbapi: Any = connection.connection.dbapi_connection
        return bool(dbapi.in_transaction)

    def now_plus(self, micros: str) -> str:
        """Return the time in milliseconds, all that SQLite has, written like every other time.

        Each statement has it so: what was written before never lies after it.
        """
        shift = f"printf('%+.6f seconds', {micros} / 1000000.0)"
        return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {shift}) || '000')"

    def overwrite_deleted(self, connection: Connection) -> None:
        """Write zeros over freed bytes: SQLite leaves them as they are by default."""
        connection.exec_driver_sql("PRAGMA secure_delete = ON")

    def forget_log(self, engine: Engine) -> None:
        """Move the log into the file and cut it off; readers that need it keep it a while."""
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def check(self, engine: Engine, needs: Needs) -> Iterator[str]:
        """Warn of a file system that takes no write-ahead log: SQLite does without, in silence."""
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            (mode,) = cursor.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            yield (
                f"the database's journal_mode is {mode}, and not wal: its file system shares no "
                "memory between processes, and may not lock the file well enough, as those of "
                "a network. Put the file on a local disk, or use MariaDB or PostgreSQL"
            )

    def serial(self) -> TypeEngine[Any]:
        """Return INTEGER: only a primary key of this very type is counted up."""
        return Integer()

    def cannot_hold(self, value: str, length: int | None) -> str | None:
        """Return None: a column holds texts of any length."""
        return None


def _code(error: BaseException) -> int:
    """Return the primary result code; 0 for an error that has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
