"""MariaDB and MySQL, by PyMySQL."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pymysql
from sqlalchemy import URL, Connection, Engine, Insert, Table, text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from kernel.config.keep_alive import keep_alive
from kernel.db.dialects.base import Change, Dialect
from kernel.db.dialects.link import check_link
from kernel.db.dialects.mysql_checks import check_session, check_tables
from kernel.db.dialects.mysql_driver import XaConnection, connected
from kernel.db.dialects.needs import Needs
from kernel.errors import ConfigurationError

# Errors after which the transaction, or the whole connection, is gone while the work itself may
# be fine: lock wait timeout, deadlock, too many connections, shutdown, killed, disk or table full
# (also as the engine says it), no memory, network errors, server gone, idle too long, "record has
# changed since last read", a statement that took too long, an XA transaction that was rolled back.
PASSING = frozenset(
    {1020, 1021, 1040, 1053, 1077, 1078, 1079, 1080, 1114, 1129, 1158, 1159, 1160, 1161, 1180}
    | {1184, 1203, 1205, 1213, 1226, 1290, 1317, 1927, 1969, 2002, 2003, 2006, 2013, 2014, 2055}
    | {3024, 4031, 1402, 1613, 1614, 3, 1026, 1030, 1037, 1038, 1041, 1135}
)
# Of these, the ones that say that another transaction was first.
CONTENTION = frozenset({1020, 1205, 1213, 1613, 1614})
# And the ones that say that the server, which is there, ended this one statement.
INTERRUPTED = frozenset({1317, 1969, 3024})
NO_SUCH_TABLE = 1146
NO_SUCH_SAVEPOINT = 1305
# A statement does not fit the state of an XA transaction; in an open one, it would have ended it.
WRONG_XA_STATE = 1399
NO_SUCH_VARIABLE = 1193
# From MariaDB 12.0 on read_only is one of several words, which are all 0 to OR. FROM a derived
# table: a Galera node outside its cluster answers a SELECT without one.
IS_READ_ONLY = (
    "SELECT CAST(@@global.read_only AS CHAR) NOT IN ('0', 'OFF') OR @@innodb_read_only"
    " FROM (SELECT 1) AS probe"
)
IS_GALERA = "SELECT @@wsrep_on"
# What only MariaDB has, and every one that is supported.
IN_TRANSACTION = "SELECT @@in_transaction"
IDLE_TIMEOUT = "idle_transaction_timeout"
# What goes before that one, by what the transaction has done.
OTHER_IDLE = "idle_write_transaction_timeout = 0, idle_readonly_transaction_timeout = 0"
# Set before the first write of a run, on servers that cannot say whether a transaction is open.
FIRST = "kernel_first"
# An address that swallows packets is given up after this time: a lost SYN is sent again after 1 s.
CONNECT_SECONDS = 2
# What a server takes at the most for each answer while it is logged in to.
GREETING_SECONDS = 5
# What `limit_silence` has told the server of this connection, in seconds. A year is the most that
# wait_timeout takes: a strict session refuses more.
SILENCE, LONGEST_SILENCE = "kernel_wait_timeout", 31_536_000


class MySQL(Dialect):
    """MariaDB and MySQL: InnoDB, utf8mb4, strict, READ COMMITTED."""

    names = ("mysql", "mariadb")
    driver_errors = (pymysql.err.MySQLError,)
    is_remote = True
    clock = "SELECT UTC_TIMESTAMP(6)"
    # INSERT IGNORE would swallow other errors as well.
    keeping = " ON DUPLICATE KEY UPDATE {column} = {column}"
    table_options = {  # noqa: RUF012 - declared as a ClassVar above
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": "utf8mb4_bin",
    }

    def complete(self, url: URL) -> URL:
        """Add the character set, unless the operator wrote one."""
        return url if "charset" in url.query else url.update_query_dict({"charset": "utf8mb4"})

    def trust(self, url: URL, ca_file: Path) -> URL:
        """Name the authorities: PyMySQL then asks for TLS, and checks certificate and name."""
        if any(name.startswith("ssl") for name in url.query):
            return url
        return url.update_query_dict({"ssl_ca": str(ca_file)})

    def connect_args(self, read_timeout: int | None) -> dict[str, Any]:
        """Give reading and writing one timeout: PyMySQL would change the socket's between them."""
        greeting = min(GREETING_SECONDS, read_timeout or GREETING_SECONDS)
        both = dict.fromkeys(("read_timeout", "write_timeout"), greeting)
        return {"connect_timeout": CONNECT_SECONDS, **both}

    def answer_within(self, connection: Any, seconds: float | None) -> None:
        """Set both of PyMySQL's timeouts; it has no public way to change them later."""
        connection._read_timeout = connection._write_timeout = seconds

    def prepare(self, connection: Any, *, brief: bool) -> None:
        """Keep it alive; set the session's zone, strictness, isolation and time limits.

        Raises ConfigurationError, too, when MariaDB is so old that it does not know one of them.
        """
        keep_alive(connection._sock)  # there is no public way to the socket
        seconds = int(self.lock_wait_seconds)  # for a row, and for a table that is being altered
        waits = f"innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}"
        idle = f"{IDLE_TIMEOUT} = {int(self.idle_transaction_seconds) if brief else 0}"
        with connection.cursor() as cursor, _needing(connection):
            # MySQL knows none of the last, and takes what stands in /*M! */ for a comment.
            cursor.execute(
                "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,"
                f"NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO', {waits}"
                f" /*M! , {idle}, {OTHER_IDLE} */"
            )
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        if not brief:
            connection.life()  # before a run is in a transaction

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

    def blames_statement(self, error: BaseException) -> bool:
        """Look for what a handler has done to its transaction below SQLAlchemy."""
        return _number(error) in (WRONG_XA_STATE, NO_SUCH_SAVEPOINT)

    def may_be_unfit(self, error: BaseException) -> bool:
        """Ask after errors that say neither what is wrong with a statement nor that a rival won."""
        plain = isinstance(error, pymysql.err.OperationalError | pymysql.err.InternalError)
        return plain and not self.is_contention(error)

    def is_unfit(self, connection: Any, error: BaseException | None = None) -> bool:
        """Ask whether the server is read-only; who may write nevertheless is not asked."""
        return bool(_say(connection, IS_READ_ONLY)[0])

    def is_missing_table(self, error: BaseException) -> bool:
        """Compare the number."""
        return bool(_number(error) == NO_SUCH_TABLE)

    def connection_number(self, connection: Connection) -> int | None:
        """Return the thread's id, with which life of the server that is one of."""
        return _xa(connection).number()

    def kill_connection(self, connection: Connection, number: int) -> None:
        """Say KILL; a frozen worker's row locks go with its connection."""
        connection.execute(text(f"KILL CONNECTION {_xa(connection).thread_of(number)}"))

    def limit_silence(self, connection: Connection, seconds: int) -> None:
        """Set wait_timeout, by the driver itself: the handler's guard hears nothing of it."""
        seconds = min(seconds, LONGEST_SILENCE)
        if connection.info.get(SILENCE) == seconds:
            return
        cursor = connection.connection.cursor()
        cursor.execute(f"SET SESSION wait_timeout = {int(seconds)}")
        cursor.close()
        connection.info[SILENCE] = seconds

    def before_first_write(self, connection: Connection) -> None:
        """On MySQL, set the savepoint by which `holds_transaction` tells."""
        if not _xa(connection).is_mariadb:
            _say(connection.connection, f"SAVEPOINT {FIRST}")

    def holds_transaction(self, connection: Connection) -> bool:
        """Ask MariaDB. MySQL has no such variable: there the first savepoint is gone, or is not."""
        if _xa(connection).is_mariadb:
            return bool(_say(connection.connection, IN_TRANSACTION)[0])
        try:
            _say(connection.connection, f"RELEASE SAVEPOINT {FIRST}")
        except pymysql.err.MySQLError as error:
            if _number(error) == NO_SUCH_SAVEPOINT:
                return False
            raise
        _say(connection.connection, f"SAVEPOINT {FIRST}")
        return True

    def connect(self, arguments: Mapping[str, Any]) -> Any:
        """Connect with a driver that can end an XA transaction."""
        return connected(arguments)

    def begin_guarded(self, connection: Connection, name: str) -> None:
        """Say XA START."""
        _xa(connection).begin_xa(name)

    def allow_commit(self, connection: Connection) -> None:
        """Have the driver say XA END and XA COMMIT instead of COMMIT."""
        _xa(connection).allow_commit()

    def refuses_enders(self, connection: Connection) -> bool:
        """Trust MariaDB, where it was measured. On MySQL it was not: the savepoints stay."""
        return _xa(connection).is_mariadb

    def is_refused_ender(self, error: BaseException) -> bool:
        """Compare the number."""
        return bool(_number(error) == WRONG_XA_STATE)

    def check_guarded(self, engine: Engine) -> None:
        """Refuse a node of a Galera cluster, which replicates no XA transaction."""
        with engine.connect() as connection:
            try:
                (is_galera,) = _say(connection.connection, IS_GALERA)
            except pymysql.err.MySQLError as error:
                if _number(error) != NO_SUCH_VARIABLE:
                    raise
                return
        if is_galera:
            raise ConfigurationError(
                "a handler is registered with guarded=True, and this server is a node of a Galera "
                "cluster, which knows no XA transactions: leave guarded=True out"
            )

    def upsert(self, table: Table, change: Change) -> Insert:
        """Return INSERT ... ON DUPLICATE KEY UPDATE."""
        statement = mysql.insert(table)
        return statement.on_duplicate_key_update(**change(statement.inserted))

    def now_plus(self, micros: str) -> str:
        """Return UTC_TIMESTAMP, which is when the server began the statement."""
        return f"(UTC_TIMESTAMP(6) + INTERVAL {micros} MICROSECOND)"

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

    def check(self, engine: Engine, needs: Needs) -> Iterator[str]:
        """Refuse an old server, a lax session, missing rights, tables that cannot roll back."""
        with engine.begin() as connection:
            if _xa(connection).is_mariadb:
                with _needing(connection.connection.dbapi_connection):
                    _say(connection.connection, IN_TRANSACTION)
            yield from check_session(connection, needs)
            yield from check_link(*_link(connection))
            yield from check_tables(connection, needs)


@contextmanager
def _needing(server: Any) -> Iterator[None]:
    """Raise ConfigurationError when a statement names a variable that ``server`` does not know."""
    try:
        yield
    except pymysql.err.MySQLError as error:
        if _number(error) != NO_SUCH_VARIABLE:
            raise
        raise ConfigurationError(
            f"the database server is too old: {server.get_server_info()} says {error.args[1]!r}. "
            "MariaDB 10.6 or newer is needed"
        ) from None


def _xa(connection: Connection) -> XaConnection:
    return cast(XaConnection, connection.connection.dbapi_connection)


def _link(connection: Connection) -> tuple[str, bool, bool]:
    """Return the server's address, whether TLS is spoken, and whether the server was verified."""
    driver: Any = connection.connection.dbapi_connection
    peer = driver._sock.getpeername()
    address = peer[0] if isinstance(peer, tuple) else ""  # else a socket file
    verified = driver._secure and driver.ctx is not None and driver.ctx.check_hostname
    return address, bool(driver._secure), bool(verified)


def _say(connection: Any, statement: str) -> Any:
    """Run a statement on the driver's ``connection``; return its first row."""
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
        return cursor.fetchone()
    finally:
        cursor.close()


def _number(error: BaseException) -> Any:
    """Return the server's or the client's number of an error; None for any other error."""
    known = isinstance(error, pymysql.err.MySQLError) and error.args
    return error.args[0] if known else None
