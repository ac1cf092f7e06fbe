"""The engine, its sessions and events.

Knows nothing of orders. What it guards: sessions are strict UTF-8 and READ COMMITTED on
MariaDB/MySQL, WAL with explicit transactions on SQLite; a handler's connection refuses COMMIT,
ROLLBACK and DDL; a transaction the server dropped is never mistaken for one that goes on.
"""

import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import PoolResetState

from kernel.db.guard import (
    GUARD,
    _note_passing_error,
    _note_rollback,
    _refuse_commit,
    _refuse_committing,
    unsealed,
)

LOCK_WAIT_SECONDS = 5
# A frozen process keeps its row locks; MariaDB ends a transaction after so much silence.
IDLE_TRANSACTION_SECONDS = 2 * LOCK_WAIT_SECONDS
SQLITE_BUSY_SECONDS = 1.5
IDLE_PING_SECONDS = 1.0
OPEN = "kernel_open"
READ_ONLY = "kernel_read_only"


def make_engine(
    url: str, read_timeout: int = 300, *, autocommit: bool = False, brief: bool = False
) -> Engine:
    """Build the engine for ``url`` (``sqlite:///path`` or ``mysql+pymysql://...``).

    ``read_timeout``: seconds to wait for a server that has stopped answering. ``autocommit``:
    each statement is a transaction of its own, and costs one round trip, not two.
    ``brief``: MariaDB ends a transaction in which nothing was said for IDLE_TRANSACTION_SECONDS.

    Call it after the fork. Raises ConfigurationError's cause (sqlalchemy ArgumentError) for a
    URL that cannot be parsed.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": 0})
        event.listen(engine, "connect", _connect_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        if "charset" not in parsed.query:
            parsed = parsed.update_query_dict({"charset": "utf8mb4"})
        engine = create_engine(parsed, **_mysql_options(read_timeout, autocommit=autocommit))
        event.listen(engine, "connect", _connect_mysql)
        if brief:
            event.listen(engine, "connect", _limit_idle_transactions)
        event.listen(engine, "checkin", _note_idle)
        event.listen(engine, "checkout", _ping_when_idle)
        event.listen(engine, "reset", _roll_back_what_is_open)
    event.listen(engine, "before_cursor_execute", _refuse_committing)
    event.listen(engine, "commit", _refuse_commit)
    event.listen(engine, "rollback", _note_rollback)
    event.listen(engine, "handle_error", _note_passing_error)
    event.listen(engine, "begin", _note_open)
    event.listen(engine, "commit", _note_ended)
    event.listen(engine, "rollback", _note_ended)
    event.listen(engine, "handle_error", _note_doubt)
    return engine


def _mysql_options(timeout: int, *, autocommit: bool) -> dict[str, Any]:
    # One timeout for reading and writing: PyMySQL would change the socket's between the two.
    timeouts = {"connect_timeout": 5, "read_timeout": timeout, "write_timeout": timeout}
    return {
        "hide_parameters": True,
        "pool_size": 10,
        "max_overflow": 40,
        "pool_recycle": 1800,
        # The connection that was used last is warm, here and there, and needs no ping.
        "pool_use_lifo": True,
        "isolation_level": "AUTOCOMMIT" if autocommit else "READ COMMITTED",
        "skip_autocommit_rollback": True,
        "pool_reset_on_return": None,
        "connect_args": timeouts,
    }


def _connect_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the driver's own loses updates
    connection.execute(f"PRAGMA busy_timeout = {int(SQLITE_BUSY_SECONDS * 1000)}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    with unsealed(connection.info.get(GUARD)):
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _connect_mysql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,"
            "NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO', "
            f"innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}"
        )
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


def _limit_idle_transactions(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        # MySQL has no such variable, and takes what stands in /*M! */ for a comment.
        cursor.execute(
            f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS} "
            f"/*M! , idle_transaction_timeout = {IDLE_TRANSACTION_SECONDS} */"
        )


def _note_idle(_connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _ping_when_idle(connection: Any, record: Any, _proxy: Any) -> None:
    # A ping per checkout costs a round trip per order; one after an idle second costs nothing.
    if time.monotonic() - record.info.get("idle_since", 0.0) < IDLE_PING_SECONDS:
        return
    try:
        connection.ping(reconnect=False)
    except Exception as error:
        raise DisconnectionError from error


def _note_open(connection: Connection) -> None:
    connection.info[OPEN] = True


def _note_ended(connection: Connection) -> None:
    if not connection.invalidated:
        connection.info[OPEN] = False


def _note_doubt(context: ExceptionContext) -> None:
    connection = context.connection
    if connection is not None and not connection.invalidated:
        connection.info[OPEN] = True


def _roll_back_what_is_open(connection: Any, record: Any, state: PoolResetState) -> None:
    # The pool's own reset sends a ROLLBACK after each COMMIT, a round trip for nothing.
    if record.info.get(OPEN, True) and not (state.transaction_was_reset or state.terminate_only):
        connection.rollback()
