"""The engines of a process and their events. What differs by database: `kernel.db.dialects`.

Knows nothing of orders. A server's engines spare round trips: no ping before a connection that
was just in use, no ROLLBACK after a COMMIT.
"""

import math
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolResetState

from kernel.config.keyring import Keyring
from kernel.config.private_files import inode_of, secure_database
from kernel.db import guard
from kernel.db.dialects import Dialect, dialect_of
from kernel.db.dialects.mends import MISTAKES, explain_options
from kernel.db.tables.sealed import KEYRING, Keys
from kernel.errors import ConfigurationError

# A connection that was idle for longer is pinged before its next use.
PING_AFTER_SECONDS = 1.0
# A ping that is not answered within this time means that the connection is lost: a firewall that
# has forgotten it drops packets without a word. A caller waits two seconds, and still needs time
# for another connection.
PONG_SECONDS = 1.0
# For so long after a connection was lost, or a server found that takes no writes, those that are
# kept are asked whether theirs does. Until then the address may still lead to the old one.
DOUBT_SECONDS = 60.0
OPEN = "kernel_open"
READ_ONLY = "kernel_read_only"
IDLE_SINCE = "kernel_idle_since"
FIT_AT = "kernel_fit_at"


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
    def of(cls, url: str, read_timeout: int, keys: Keys = Keyring) -> Self:
        """Make the engines of this process for ``url``. Call it after the fork.

        ``read_timeout``: seconds to wait for a server that has stopped answering. ``keys``: where
        the keyring comes from that seals secrets, see `kernel.db.tables.sealed`. Raises
        ConfigurationError for a URL that cannot be used.
        """
        idle = Idle()
        writing = single = running = make_engine(url, read_timeout, brief=True, idle=idle)
        if dialect_of(url).is_remote:
            single = make_engine(url, read_timeout, autocommit=True, idle=idle)
            running = make_engine(url, read_timeout, idle=idle)
        for engine in {writing, single, running}:
            engine.update_execution_options(**{KEYRING: keys})
        return cls(os.getpid(), writing, single, running)

    def dispose(self) -> None:
        """Close the pooled connections."""
        for engine in {self.writing, self.single, self.running}:
            engine.dispose()


class Idle:
    """Which idle connections are pinged before their next use, and which are taken for lost.

    The engines of a process share one: when a ping of one connection is met with silence, every
    connection that has been idle for at least as long is thrown away unasked. Ten of them would
    cost ten seconds otherwise. And when one has found the server demoted, those of all others may
    lead there as well: one that only reads would never notice. ``ping_after``: a connection that
    was idle for more seconds is pinged.
    """

    def __init__(self, ping_after: float = PING_AFTER_SECONDS) -> None:
        self._ping_after = ping_after
        # Connections that have been idle since then (monotonic), or longer, are lost.
        self._lost = -math.inf
        # Connections that have led to a server that takes writes later than this still do.
        self._doubtful_until = -math.inf

    def doubt(self) -> None:
        """Say that a connection was lost, or that its server takes no writes any more."""
        self._doubtful_until = time.monotonic() + DOUBT_SECONDS

    def look(self, ask: Callable[[bool], object], info: dict[str, Any]) -> None:
        """Look at a connection before its next use; ``info`` notes since when it is idle.

        ``ask`` pings, and with True asks for a server that takes writes as well. Raises
        DisconnectionError for one that is lost or demoted: the pool opens another at once.
        """
        since = info.get(IDLE_SINCE)
        if since is None:  # new
            return
        if since <= self._lost:
            raise DisconnectionError("one that was idle for less is lost")
        asked, fit_at = time.monotonic(), info[FIT_AT]
        in_doubt = fit_at <= self._doubtful_until and asked - fit_at >= self._ping_after
        if asked - since < self._ping_after and not in_doubt:
            return
        try:
            ask(in_doubt)
            info[FIT_AT] = asked if in_doubt else fit_at
        except Exception as error:
            # A refusal comes quickly, and costs nothing: only silence condemns the others.
            if time.monotonic() - asked >= PONG_SECONDS:
                self._lost = max(self._lost, since)
            raise DisconnectionError from error


def make_engine(
    url: str,
    read_timeout: int | None = 300,
    *,
    autocommit: bool = False,
    brief: bool = False,
    idle: Idle | None = None,
) -> Engine:
    """Build an engine for ``url`` (``sqlite:///path`` or ``mysql+pymysql://...``).

    ``read_timeout``: seconds to wait for a server that has stopped answering; None: for ever.
    ``autocommit``: each statement is a transaction of its own, and costs one round trip, not two.
    ``brief``: the server ends a transaction that is silent for
    `Dialect.idle_transaction_seconds`. ``idle``: what is known of idle connections.

    Call it after the fork. Raises ConfigurationError for a URL that cannot be used.
    """
    dialect, known = dialect_of(url), idle or Idle()
    pooling = _server_pool(autocommit=autocommit) if dialect.is_remote else {}

    def opened(connection: Any, _record: Any) -> None:
        dialect.prepare(connection, brief=brief)
        dialect.answer_within(connection, read_timeout)

    def ask(connection: Any, in_doubt: bool) -> None:
        dialect.answer_within(connection, PONG_SECONDS)
        engine.dialect.do_ping(connection)
        if in_doubt and dialect.is_unfit(connection):
            raise DisconnectionError("its server takes no writes")
        dialect.answer_within(connection, read_timeout)

    arguments = dialect.connect_args(read_timeout)
    engine = _made(dialect.complete(make_url(url)), connect_args=arguments, **pooling)
    if (file := dialect.file_of(engine.url)) is not None:
        _keep_to(engine, file.absolute())
    event.listen(engine, "connect", opened)
    event.listen(engine, "begin", lambda connection: _begin(dialect, connection))
    # First: what the guard hears of an error depends on whether the server was found unfit.
    event.listen(engine, "handle_error", lambda context: _condemn(dialect, context, known))
    guard.listen(engine, dialect)
    if dialect.is_remote:
        _spare_round_trips(engine, ask, known)
    return engine


def _made(url: URL, **options: Any) -> Engine:
    """Make an engine without events. Raises ConfigurationError for a URL that cannot be used."""

    def take(name: str) -> None:
        url.get_dialect()().create_connect_args(url.set(query={name: url.query[name]}))

    try:
        return create_engine(url, hide_parameters=True, **options)
    except ArgumentError as error:
        raise ConfigurationError(f"KERNEL_DATABASE_URL: {error}") from None
    except MISTAKES:
        if said := explain_options(url.query, take):
            raise ConfigurationError(said) from None
        raise


def _condemn(dialect: Dialect, context: ExceptionContext, idle: Idle) -> None:
    """Take an error of an unfit server for a lost connection, so that the whole pool is renewed.

    The other pools of the process are told, too: theirs may only read, and not get such an error.

    A demoted primary is alive and refuses writes, a node outside its cluster every statement, a
    rotated password every new connection: what the address leads to now may be another server.
    The server itself is asked, for one error number means several things.
    """
    connection, error = context.connection, context.original_exception
    if not context.is_disconnect and isinstance(error, dialect.driver_errors):
        if type(error).__name__ == "ProgrammingError" and connection is None:
            # An option that the driver does not know, or one that makes a statement of its own.
            said = " ".join(str(error).split())
            raise ConfigurationError(f"KERNEL_DATABASE_URL: {said}")
        if connection is None:  # it refused the connection
            context.is_disconnect = True
        elif not connection.invalidated and dialect.may_be_unfit(error):
            driver: Any = connection.connection.dbapi_connection
            try:
                context.is_disconnect = dialect.is_unfit(driver, error)
            except dialect.driver_errors:  # a server that cannot answer is unfit as well
                context.is_disconnect = True
    if context.is_disconnect:
        idle.doubt()


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


def _keep_to(engine: Engine, file: Path) -> None:
    """Refuse to go on once ``file`` was moved away or replaced: what is written there is lost.

    Nor can connections change over: the last of the old ones deletes the new log by its name.
    """
    opened: list[tuple[int, int]] = []

    def look(*_given: Any) -> None:
        if opened and opened != [inode_of(file)]:
            raise PoolTimeout(f"{file} was moved away or replaced: put it back, or restart")

    def opens(*_given: Any) -> None:
        look()
        secure_database(file)
        opened[:] = filter(None, [inode_of(file)])

    event.listen(engine, "do_connect", opens)
    event.listen(engine, "checkout", look)
    event.listen(engine, "engine_disposed", lambda _: opened.clear())


# ---- Round trips that are spared -------------------------------------------------------------


def _spare_round_trips(engine: Engine, ask: Callable[[Any, bool], None], idle: Idle) -> None:
    """Note of each connection since when it is idle and whether a transaction may be open."""

    def look(connection: Any, record: Any, _proxy: Any) -> None:
        # A ping per checkout costs a round trip per order; one after an idle second costs nothing.
        idle.look(partial(ask, connection), record.info)

    event.listen(engine, "connect", _note_new)
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", look)
    event.listen(engine, "reset", _roll_back_what_is_open)
    event.listen(engine, "begin", _note_open)
    event.listen(engine, "commit", _note_ended)
    event.listen(engine, "rollback", _note_ended)
    event.listen(engine, "handle_error", _note_doubt)


def _note_new(_connection: Any, record: Any) -> None:
    record.info[FIT_AT] = time.monotonic()


def _note_idle(_connection: Any, record: Any) -> None:
    record.info[IDLE_SINCE] = time.monotonic()


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
