"""The engines of a process and their events. What differs by database: `kernel.db.dialects`.

Knows nothing of orders. A server's engines spare round trips: no ping before a connection that
was just in use, no ROLLBACK after a COMMIT.
"""

import os
import time
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.pool import PoolResetState

from kernel.db import guard
from kernel.db.dialects import Dialect, dialect_of
from kernel.errors import ConfigurationError

# A connection that was idle for longer is pinged before its next use.
PING_AFTER_SECONDS = 1.0
OPEN = "kernel_open"
READ_ONLY = "kernel_read_only"


class Engines(NamedTuple):
    """The engines of one process; a database that is a file has one for all three.

    ``writing``: short transactions, which a server ends when nothing is said in them. ``single``:
    each statement is a transaction of its own. ``running``: runs of handlers, whose transactions
    alone may be silent for long.
    """

    pid: int
    writing: Engine
    single: Engine
    running: Engine

    @classmethod
    def of(cls, url: str, read_timeout: int) -> Self:
        """Make the engines of this process for ``url``. Call it after the fork.

        ``read_timeout``: seconds to wait for a server that has stopped answering. Raises
        ConfigurationError for a URL that cannot be used.
        """
        writing = make_engine(url, read_timeout, brief=True)
        if not dialect_of(url).is_remote:
            return cls(os.getpid(), writing, writing, writing)
        single = make_engine(url, read_timeout, autocommit=True)
        return cls(os.getpid(), writing, single, make_engine(url, read_timeout))

    def dispose(self) -> None:
        """Close the pooled connections."""
        for engine in {self.writing, self.single, self.running}:
            engine.dispose()


def make_engine(
    url: str,
    read_timeout: int = 300,
    *,
    autocommit: bool = False,
    brief: bool = False,
    ping_after: float = PING_AFTER_SECONDS,
) -> Engine:
    """Build an engine for ``url`` (``sqlite:///path`` or ``mysql+pymysql://...``).

    ``read_timeout``: seconds to wait for a server that has stopped answering. ``autocommit``:
    each statement is a transaction of its own, and costs one round trip, not two. ``brief``: the
    server ends a transaction that is silent for `Dialect.idle_transaction_seconds`.
    ``ping_after``: seconds after which an idle connection is pinged before its next use.

    Call it after the fork. Raises ConfigurationError for a URL that cannot be used.
    """
    dialect = dialect_of(url)
    pooling = _server_pool(autocommit=autocommit) if dialect.is_remote else {}
    try:
        engine = create_engine(
            dialect.complete(make_url(url)),
            hide_parameters=True,
            connect_args=dialect.connect_args(read_timeout),
            **pooling,
        )
    except ArgumentError as error:
        raise ConfigurationError(f"KERNEL_DATABASE_URL: {error}") from None
    event.listen(engine, "connect", lambda one, _record: dialect.prepare(one, brief=brief))
    event.listen(engine, "begin", lambda connection: _begin(dialect, connection))
    # First: what the guard hears of an error depends on whether the server was found unfit.
    event.listen(engine, "handle_error", lambda context: _condemn(dialect, context))
    guard.listen(engine, dialect)
    if dialect.is_remote:
        _spare_round_trips(engine, ping_after)
    return engine


def _condemn(dialect: Dialect, context: ExceptionContext) -> None:
    """Take an error of an unfit server for a lost connection, so that the whole pool is renewed.

    A demoted primary is alive and refuses writes, a node outside its cluster every statement, a
    rotated password every new connection: what the address leads to now may be another server.
    The server itself is asked, for one error number means several things.
    """
    connection, error = context.connection, context.original_exception
    if context.is_disconnect or not isinstance(error, dialect.driver_errors):
        return
    if connection is None:  # it refused the connection
        context.is_disconnect = True
    elif not connection.invalidated and dialect.may_be_unfit(error):
        try:
            context.is_disconnect = dialect.is_unfit(connection)
        except dialect.driver_errors:  # a server that cannot answer is unfit as well
            context.is_disconnect = True


def _server_pool(*, autocommit: bool) -> dict[str, Any]:
    return {
        "pool_size": 10,
        "max_overflow": 40,
        "pool_recycle": 1800,
        # The connection that was used last is warm, here and there, and needs no ping.
        "pool_use_lifo": True,
        "isolation_level": "AUTOCOMMIT" if autocommit else "READ COMMITTED",
        "skip_autocommit_rollback": True,
        "pool_reset_on_return": None,  # see `_roll_back_what_is_open`
    }


def _begin(dialect: Dialect, connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    with guard.unsealed(connection.info.get(guard.GUARD)):
        dialect.begin(connection, read_only=read_only)


# ---- Round trips that are spared -------------------------------------------------------------


def _spare_round_trips(engine: Engine, ping_after: float) -> None:
    """Note of each connection since when it is idle and whether a transaction may be open."""

    def ping_when_idle(connection: Any, record: Any, _proxy: Any) -> None:
        # A ping per checkout costs a round trip per order; one after an idle second costs nothing.
        if time.monotonic() - record.info.get("idle_since", 0.0) < ping_after:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:
            raise DisconnectionError from error

    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", ping_when_idle)
    event.listen(engine, "reset", _roll_back_what_is_open)
    event.listen(engine, "begin", _note_open)
    event.listen(engine, "commit", _note_ended)
    event.listen(engine, "rollback", _note_ended)
    event.listen(engine, "handle_error", _note_doubt)


def _note_idle(_connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


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
