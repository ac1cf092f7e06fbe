"""MariaDB and MySQL, by PyMySQL."""

from collections.abc import Iterator, Set
from typing import Any

import pymysql
from sqlalchemy import URL, Connection, Engine, bindparam, text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from kernel.db.dialects.base import Dialect
from kernel.errors import ConfigurationError

# Errors after which the transaction, or the whole connection, is gone while the work itself may
# be fine: lock wait timeout, deadlock, too many connections, shutdown, killed, disk or table
# full, network errors, server gone, idle too long, "record has changed since last read", a
# statement that took longer than max_statement_time (MariaDB) or max_execution_time (MySQL).
PASSING = frozenset(
    {1020, 1021, 1040, 1053, 1077, 1078, 1079, 1080, 1114, 1129, 1158, 1159, 1160, 1161, 1180}
    | {1184, 1203, 1205, 1213, 1226, 1290, 1317, 1927, 1969, 2002, 2003, 2006, 2013, 2014, 2055}
    | {3024, 4031}
)
# Of these, the ones that say that another transaction was first.
CONTENTION = frozenset({1020, 1205, 1213})
# And the ones that say that the server, which is there, ended this one statement.
INTERRUPTED = frozenset({1317, 1969, 3024})
NO_SUCH_TABLE = 1146
NO_SUCH_SAVEPOINT = 1305
# Set before the first write of a run, on servers that cannot say whether a transaction is open.
FIRST = "kernel_first"
CONNECT_SECONDS = 5
# What `limit_silence` has told the server of this connection, in seconds.
SILENCE = "kernel_wait_timeout"

STRICT = {"STRICT_ALL_TABLES", "STRICT_TRANS_TABLES"}
CONVERT = "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

_SESSION = text(
    "SELECT @@sql_mode, @@character_set_client, @@character_set_connection,"
    " @@innodb_flush_log_at_trx_commit"
)
_TABLES = text(
    "SELECT table_name, engine FROM information_schema.tables"
    " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name"
)
_NARROW = text(
    "SELECT DISTINCT table_name FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND character_set_name NOT IN ('utf8mb4', 'ascii')"
    " AND table_name IN :names ORDER BY table_name"
).bindparams(bindparam("names", expanding=True))


class MySQL(Dialect):
    """MariaDB and MySQL: InnoDB, utf8mb4, strict, READ COMMITTED."""

    names = ("mysql", "mariadb")
    driver_errors = (pymysql.err.MySQLError,)
    is_remote = True
    clock = "SELECT UTC_TIMESTAMP(6)"
    table_options = {  # noqa: RUF012 - declared as a ClassVar above
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": "utf8mb4_bin",
    }

    def complete(self, url: URL) -> URL:
        """Add the character set, unless the operator wrote one."""
        return url if "charset" in url.query else url.update_query_dict({"charset": "utf8mb4"})

    def connect_args(self, read_timeout: int) -> dict[str, Any]:
        """Give reading and writing one timeout: PyMySQL would change the socket's between them."""
        return {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": read_timeout,
            "write_timeout": read_timeout,
        }

    def prepare(self, connection: Any, *, brief: bool) -> None:
        """Set the session's zone, strictness, isolation and time limits."""
        waits = f"innodb_lock_wait_timeout = {int(self.lock_wait_seconds)}"
        with connection.cursor() as cursor:
            cursor.execute(
                "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,"
                f"NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO', {waits}"
            )
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            if brief:
                # MySQL has no such variable, and takes what stands in /*M! */ for a comment.
                idle = f"idle_transaction_timeout = {int(self.idle_transaction_seconds)}"
                cursor.execute(f"SET SESSION {waits} /*M! , {idle} */")

    def begin(self, connection: Connection, *, read_only: bool) -> None:
        """Leave it to the first statement: a BEGIN would be a round trip of its own."""

    def is_passing(self, error: BaseException) -> bool:
        """Look the number up; an InterfaceError has none, and says that the link is gone."""
        return isinstance(error, pymysql.err.InterfaceError) or _number(error) in PASSING

    def is_contention(self, error: BaseException) -> bool:
        """Look the number up among those of locks."""
        return _number(error) in CONTENTION

    def is_interruption(self, error: BaseException) -> bool:
        """Look the number up among those of statements that were killed or took too long."""
        return _number(error) in INTERRUPTED

    def may_be_unfit(self, error: BaseException) -> bool:
        """Ask after errors that say neither what is wrong with a statement nor that a rival won."""
        plain = isinstance(error, pymysql.err.OperationalError | pymysql.err.InternalError)
        return plain and not self.is_contention(error)

    def is_unfit(self, connection: Connection) -> bool:
        """Ask whether the server is read-only; who may write nevertheless is not asked."""
        return bool(_say(connection, "SELECT @@global.read_only OR @@innodb_read_only")[0])

    def is_missing_table(self, error: BaseException) -> bool:
        """Compare the number."""
        return bool(_number(error) == NO_SUCH_TABLE)

    def connection_number(self, connection: Connection) -> int | None:
        """Return the thread id that the server told when it was connected to."""
        return int(connection.connection.dbapi_connection.thread_id())  # type: ignore[union-attr]

    def kill_connection(self, connection: Connection, number: int) -> None:
        """Say KILL; a frozen worker's row locks go with its connection."""
        connection.execute(text(f"KILL CONNECTION {int(number)}"))

    def limit_silence(self, connection: Connection, seconds: int) -> None:
        """Set wait_timeout, by the driver itself: the handler's guard hears nothing of it."""
        if connection.info.get(SILENCE) == seconds:
            return
        cursor = connection.connection.cursor()
        cursor.execute(f"SET SESSION wait_timeout = {int(seconds)}")
        cursor.close()
        connection.info[SILENCE] = seconds

    def before_first_write(self, connection: Connection) -> None:
        """On MySQL, set the savepoint by which `holds_transaction` tells."""
        if not _is_mariadb(connection):
            _say(connection, f"SAVEPOINT {FIRST}")

    def holds_transaction(self, connection: Connection) -> bool:
        """Ask MariaDB. MySQL has no such variable: there the first savepoint is gone, or is not."""
        if _is_mariadb(connection):
            return bool(_say(connection, "SELECT @@in_transaction")[0])
        try:
            _say(connection, f"RELEASE SAVEPOINT {FIRST}")
        except pymysql.err.MySQLError as error:
            if _number(error) == NO_SUCH_SAVEPOINT:
                return False
            raise
        _say(connection, f"SAVEPOINT {FIRST}")
        return True

    def moment(self) -> TypeEngine[Any]:
        """Return DATETIME(6): a plain DATETIME drops fractions of a second."""
        return mysql.DATETIME(fsp=6)

    def token(self, length: int) -> TypeEngine[Any]:
        """Return an ASCII column with a collation of its own: a server's may fold case."""
        return mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")

    def long_text(self) -> TypeEngine[Any]:
        """Return LONGTEXT: TEXT ends after 64 KiB."""
        return mysql.LONGTEXT()

    def long_bytes(self) -> TypeEngine[Any]:
        """Return LONGBLOB: BLOB ends after 64 KiB."""
        return mysql.LONGBLOB()

    def index_hint(self, index: str) -> str | None:
        """Force the index: the optimizer prefers the primary key where it reads far more."""
        return f"FORCE INDEX ({index})"

    def check(self, engine: Engine, tables: Set[str]) -> Iterator[str]:
        """Refuse a lax session, and tables that cannot roll back or hold every character."""
        with engine.begin() as connection:
            yield from _check_session(connection)
            yield from _check_tables(connection, tables)


def _is_mariadb(connection: Connection) -> bool:
    server: Any = connection.connection.dbapi_connection
    return "MariaDB" in server.get_server_info()


def _say(connection: Connection, statement: str) -> Any:
    """Run a statement on the driver's own cursor; return its first row."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
        return cursor.fetchone()
    finally:
        cursor.close()


def _number(error: BaseException) -> Any:
    """Return the server's or the client's number of an error; None for any other error."""
    known = isinstance(error, pymysql.err.MySQLError) and error.args
    return error.args[0] if known else None


def _check_session(connection: Connection) -> Iterator[str]:
    mode, client, spoken, flush = connection.execute(_SESSION).one()
    if not STRICT & set(mode.split(",")):
        raise ConfigurationError(
            "the database session is not strict, so it would cut long values in silence: "
            "let KERNEL_DATABASE_URL lead to the server itself, not to a proxy that resets sql_mode"
        )
    if (client, spoken) != ("utf8mb4", "utf8mb4"):
        raise ConfigurationError(
            f"the database session speaks {client}, which cannot say every character: "
            "take charset out of KERNEL_DATABASE_URL, or write charset=utf8mb4"
        )
    if flush != 1:
        yield (
            f"innodb_flush_log_at_trx_commit is {flush}: an accepted order can be lost when the "
            "server's machine fails; set it to 1 unless you can live with that"
        )


def _check_tables(connection: Connection, tables: Set[str]) -> Iterator[str]:
    for name, engine in connection.execute(_TABLES):
        if engine == "InnoDB":
            continue
        mend = f"ALTER TABLE {name} ENGINE=InnoDB"
        if name in tables:
            raise ConfigurationError(
                f"table {name} is {engine}, which cannot roll back: a handler's writes would stay "
                f"when its run fails. Convert it: {mend}"
            )
        yield f"table {name} is {engine}, which cannot roll back; if a handler writes to it: {mend}"
    for name in connection.scalars(_NARROW, {"names": sorted(tables)}):
        raise ConfigurationError(
            f"table {name} has columns that are not utf8mb4 and refuse or change some characters. "
            f"Convert it: ALTER TABLE {name} {CONVERT}"
        )
