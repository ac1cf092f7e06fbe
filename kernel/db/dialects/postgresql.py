"""PostgreSQL 14 or newer, by psycopg, which comes with the extra ``postgresql``."""

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, String, Table, TypeDecorator, func
from sqlalchemy import text as sql
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

from kernel.db.dialects.base import Dialect
from kernel.db.dialects.needs import Needs
from kernel.db.dialects.postgresql_checks import (
    REPORTED,
    VERIFIED,
    check_rights,
    check_server,
    check_tables,
    find_unseen,
)
from kernel.db.dialects.postgresql_jumps import jump
from kernel.db.dialects.postgresql_rows import from_json
from kernel.db.dialects.psycopg_waiting import change_limit, limit_waiting, say_alone
from kernel.db.statements.many_rows import ManyRows
from kernel.db.statements.skip_scan import SkipScan
from kernel.errors import ConfigurationError

# Without the extra this database cannot be used; the others can.
psycopg: Any = None
with suppress(ImportError):
    psycopg = import_module("psycopg")

# What SQLSTATE says of errors after which the transaction, or the whole connection, is gone while
# the work itself may be fine. By class: connection, rollback by the server, resources (disk,
# memory, connections), operator intervention (cancel, shutdown, cannot connect now, idle), system.
# By code: read-only server, idle in a transaction, transaction too long, lock not available,
# snapshot too old.
PASSING_CLASSES = frozenset({"08", "40", "53", "57", "58"})
PASSING = frozenset({"25006", "25P03", "25P04", "55P03", "72000"})
# Of these, the ones that say that another transaction was first: rollback, lock not available.
CONTENTION = frozenset({"40001", "40P01", "55P03"})
# And the one that says that the server, which is there, ended this one statement.
INTERRUPTED = frozenset({"57014"})
UNDEFINED_TABLE = "42P01"
SPOILED = "25P02"  # of a transaction: one of its statements has failed
# It has no code of its own for a prepared statement whose columns have changed, and says so in the
# server's language.
UNSUPPORTED, REVALIDATES = "0A000", "RevalidateCachedQuery"
ENDED = frozenset({"COMMIT", "PREPARE TRANSACTION"})
CONNECT_SECONDS = 2
# What a server takes at the most for each answer while a connection is set up.
GREETING_SECONDS = 5
# As in `kernel.config.keep_alive`; the server watches its clients in the same way (`prepare`).
KEEP_ALIVE = {"idle": 30, "interval": 5, "count": 3}
UNACKNOWLEDGED_MS = 45_000
# What `limit_silence` has told the server of this connection, in seconds.
SILENCE = "kernel_silence"
# A connection's number is the server's process id, which is used again, and when that process
# began, in seconds: by its own word, for a pooler tells the driver an id that it has made up.
PID_BITS = 22

_SETTINGS = "SELECT set_config(name, value, false) FROM (VALUES {rows}) AS given (name, value)"
_BEGAN = (
    "SELECT extract(epoch FROM backend_start)::bigint, pid FROM pg_stat_activity"
    " WHERE pid = pg_backend_pid()"
)
_TERMINATE = sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = :pid AND extract(epoch FROM backend_start)::bigint = :began"
)


class _WithoutNul(TypeDecorator[str]):
    """Text of people and strangers, in which a NUL, which no text here can hold, is replaced."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """Write U+FFFD, which means that something could not be written."""
        return value if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")


compiles(SkipScan, "postgresql")(jump)
compiles(ManyRows, "postgresql")(from_json)


class PostgreSQL(Dialect):
    """PostgreSQL: UTF-8, READ COMMITTED, every statement by the extended protocol.

    That protocol takes one statement per text, so none can hide behind another. An error spoils a
    transaction until ROLLBACK TO SAVEPOINT; `can_commit` asks the driver, to which the server
    tells the state with every answer.
    """

    names = ("postgresql",)
    driver_errors = () if psycopg is None else (psycopg.Error,)
    is_remote = True
    insert = postgresql.Insert
    clock = "SELECT clock_timestamp() AT TIME ZONE 'UTC'"
    # A procedure or a block that says COMMIT is refused inside a transaction.
    can_end_unseen = False
    nests_comments = True

    def complete(self, url: URL) -> URL:
        """Leave it as it is. Raises ConfigurationError where the driver is not installed."""
        if psycopg is None:
            raise ConfigurationError(
                "KERNEL_DATABASE_URL: postgresql needs psycopg: "
                "pip install 'kernel-workorders[postgresql]'"
            )
        return url

    def trust(self, url: URL, ca_file: Path) -> URL:
        """Name the authorities, and have libpq check the certificate and the name in it."""
        if any(name.startswith("ssl") for name in url.query):
            return url
        return url.update_query_dict({"sslmode": VERIFIED, "sslrootcert": str(ca_file)})

    def connect_args(self, read_timeout: int | None) -> dict[str, Any]:
        """Have libpq keep the connection alive, and notice a host that is gone."""
        return {
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": UNACKNOWLEDGED_MS,
            "keepalives": 1,
            "fallback_application_name": "kernel",
            # Each statement is prepared when it is first said, so none goes by the protocol that
            # takes several in one text.
            "prepare_threshold": 0,
            **{f"keepalives_{name}": value for name, value in KEEP_ALIVE.items()},
        }

    def prepare(self, connection: Any, *, brief: bool) -> None:
        """Set the session's zone and time limits, by one statement outside of a transaction."""
        wanted = {
            "TimeZone": "UTC",
            "client_encoding": "UTF8",
            "standard_conforming_strings": "on",
            "lock_timeout": f"{int(self.lock_wait_seconds * 1000)}",
            "default_transaction_isolation": "read committed",
            **{f"tcp_keepalives_{name}": str(value) for name, value in KEEP_ALIVE.items()},
        }
        if brief:
            wanted["idle_in_transaction_session_timeout"] = _milliseconds(
                self.idle_transaction_seconds
            )
        rows = ", ".join(f"('{name}', '{value}')" for name, value in wanted.items())
        limit_waiting(connection, GREETING_SECONDS)
        say_alone(connection, _SETTINGS.format(rows=rows))
        connection.kernel_began, connection.kernel_pid = say_alone(connection, _BEGAN)

    def answer_within(self, connection: Any, seconds: float | None) -> None:
        """Change the limit of the connection's waiting."""
        change_limit(connection, seconds)

    def begin(self, connection: Connection, *, read_only: bool) -> None:
        """Leave it to the driver, which says BEGIN before the first statement."""

    def is_passing(self, error: BaseException) -> bool:
        """Look SQLSTATE up; an error of the connection has none."""
        state = _state(error)
        if _is_outdated(error):
            return True
        if state is None:
            return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return state in PASSING or state[:2] in PASSING_CLASSES

    def is_contention(self, error: BaseException) -> bool:
        """Look SQLSTATE up among those of locks."""
        return _state(error) in CONTENTION

    def is_interruption(self, error: BaseException) -> bool:
        """Look SQLSTATE up: canceled by a time limit or a person."""
        return _state(error) in INTERRUPTED

    def blames_statement(self, error: BaseException) -> bool:
        """Look for a transaction that an earlier statement has spoiled."""
        return _state(error) == SPOILED

    def may_be_unfit(self, error: BaseException) -> bool:
        """Ask after any error of the server: the answer is here already."""
        return not self.is_contention(error)

    def is_unfit(self, connection: Any, error: BaseException | None = None) -> bool:
        """Look at what the server has reported: whether it is a standby, or takes no writes.

        It reports each change before its next answer, also while a transaction is spoiled. A
        connection with statements that were prepared for other columns is of no use, either.
        """
        if error is not None and _is_outdated(error):
            return True
        info = connection.info
        return any(info.parameter_status(name) == "on" for name in REPORTED)

    def is_missing_table(self, error: BaseException) -> bool:
        """Compare SQLSTATE."""
        return _state(error) == UNDEFINED_TABLE

    def unseen(self, connection: Connection, table: str) -> str | None:
        """Look for it in schemas that the user may not use, or does not look through."""
        return find_unseen(connection, table)

    def connection_number(self, connection: Connection) -> int | None:
        """Return the server's process and when it began, in one number."""
        driver = _driver(connection)
        return int(driver.kernel_began << PID_BITS | driver.kernel_pid)

    def kill_connection(self, connection: Connection, number: int) -> None:
        """Terminate that process; another one that has its id by now began at another time."""
        given = {"pid": number & ((1 << PID_BITS) - 1), "began": number >> PID_BITS}
        if not connection.scalar(_TERMINATE, given):
            gone = psycopg.OperationalError(f"there is no process {given['pid']} any more")
            raise OperationalError(str(_TERMINATE), given, gone)

    def limit_silence(self, connection: Connection, seconds: int) -> None:
        """Set idle_in_transaction_session_timeout; in a transaction it could be rolled back."""
        if connection.info.get(SILENCE) == seconds:
            return
        driver = _driver(connection)
        limit = f"SET idle_in_transaction_session_timeout = {_milliseconds(seconds)}"
        if driver.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            say_alone(driver, limit)
            connection.info[SILENCE] = seconds
        else:
            driver.execute(limit)

    def holds_transaction(self, connection: Connection) -> bool:
        """Ask the driver; a transaction that an error has spoiled can go back to a savepoint."""
        status = psycopg.pq.TransactionStatus
        return _driver(connection).info.transaction_status in (status.INTRANS, status.INERROR)

    def has_ended(self, cursor: Any, *, is_savepoint: bool) -> bool:
        """Look at the server's word for what was done; ROLLBACK TO has the word of ROLLBACK."""
        word = cursor.statusmessage
        return word in ENDED or (word == "ROLLBACK" and not is_savepoint)

    def can_commit(self, connection: Connection) -> bool:
        """Ask the driver: COMMIT would answer ROLLBACK, and no error, to what is spoiled."""
        status = psycopg.pq.TransactionStatus
        return bool(_driver(connection).info.transaction_status != status.INERROR)

    def now_plus(self, micros: str) -> str:
        """Return the time at which the server got the statement.

        It is one time in all of the statement, unlike clock_timestamp(), and an index can be asked
        for it.
        """
        return f"(statement_timestamp() AT TIME ZONE 'UTC' + {micros} * interval '1 microsecond')"

    def token(self, length: int) -> TypeEngine[Any]:
        """Return a column that is compared and sorted by bytes, not as in a language."""
        return String(length, collation="C")

    def name(self, length: int) -> TypeEngine[Any]:
        """Return text without NUL, compared and sorted by code points, not as in a language."""
        return _WithoutNul(length, collation="C")

    def short_text(self, length: int) -> TypeEngine[Any]:
        """Return a column of text without NUL."""
        return _WithoutNul(length)

    def cannot_hold(self, value: str, length: int | None) -> str | None:
        """Refuse a NUL, too: `short_text` would replace it, and a copy must not."""
        return "a NUL character" if "\0" in value else super().cannot_hold(value, length)

    def count_on(self, connection: Connection, table: Table) -> None:
        """Set the sequence of the key to the highest id; that of an empty table stays."""
        if (key := table.autoincrement_column) is not None:
            sequence = func.pg_get_serial_sequence(table.name, key.name)
            connection.execute(func.setval(sequence, func.max(key)).select())

    def check(self, engine: Engine, needs: Needs) -> Iterator[str]:
        """Refuse a server that is too old or cannot hold every character, and unlogged tables."""
        with engine.begin() as connection:
            yield from check_server(connection, needs)
            check_tables(connection, needs)
            check_rights(connection, needs)


def _milliseconds(seconds: float) -> str:
    # The server's limit is a 32-bit number.
    return str(min(int(seconds * 1000), 2**31 - 1))


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _is_outdated(error: Any) -> bool:
    """Tell whether a statement was prepared before a table was changed: a migration meanwhile."""
    return _state(error) == UNSUPPORTED and bool(error.diag.source_function == REVALIDATES)


def _state(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None)
