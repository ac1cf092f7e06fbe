"""PyMySQL's connection, which can run inside XA, and knows its number in its server's life.

XA START ... XA END, XA COMMIT ... ONE PHASE, on MariaDB and MySQL: between START and END the server
refuses every statement that would end the transaction, before it has committed anything; also what
a procedure says, or a statement made at run time. ONE PHASE prepares nothing: a connection that is
lost, at any moment, leaves no transaction behind.
"""

import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import pymysql

from kernel.db.dialects.mends import MISTAKES, explain_options
from kernel.errors import ConfigurationError

if TYPE_CHECKING:  # generic for type checkers only
    _Connection = pymysql.connections.Connection[pymysql.cursors.Cursor]
else:
    _Connection = pymysql.connections.Connection

# A connection's number: the thread's id, which a server counts anew each time that it is started,
# and above it, which life of which server that is. An older release has written the id alone.
THREAD_BITS = 32
_LIVES = (1 << 31) - 1
# When the server was started, to the second: its clock may have been set since, which changes both
# terms alike.
_LIFE = (
    "SELECT UNIX_TIMESTAMP() - CAST(variable_value AS SIGNED), @@server_id, @@hostname"
    " FROM {schema}.global_status WHERE variable_name = 'uptime'"
)


@cache
def _unchecked() -> ssl.SSLContext:
    """Return the driver's context for a URL that asks for no check of the server, if it has TLS.

    The driver makes one for each connection, and reads all authorities of the system for it, of
    which it asks nothing then: 16 of the 20 ms that a connection takes.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connected(arguments: Mapping[str, Any]) -> "XaConnection":
    """Return a new connection.

    Raises the driver's errors, and ConfigurationError that names what the driver cannot take.
    """

    def take(name: str) -> None:
        XaConnection(**{name: arguments[name]}, defer_connect=True)

    try:
        return XaConnection(**arguments)
    except MISTAKES:
        if said := explain_options(arguments, take):
            raise ConfigurationError(said) from None
        raise


def _number_of(told: object) -> int:
    return zlib.crc32(repr(told).encode()) % _LIVES + 1


class XaConnection(_Connection):
    """A connection whose `commit` and `rollback` know of the XA transaction that they end."""

    # The name of the open XA transaction, and whether `commit` may end it.
    xid: str | None = None
    may_commit = False
    _life: int | None = None

    def life(self) -> int:
        """Tell one life of a server from others; 0 where it does not say, or refuses to. Asks once.

        Raises the driver's errors when the connection is lost.
        """
        if self._life is None:
            schema = "information_schema" if self.is_mariadb else "performance_schema"
            try:
                with self.cursor() as cursor:
                    cursor.execute(_LIFE.format(schema=schema))
                    told = cursor.fetchone()
            except pymysql.err.MySQLError:
                if not self.open:
                    raise
                told = None
            self._life = 0 if told is None else _number_of(told)
        return self._life

    def number(self) -> int:
        """Return what no other connection has, on this server or on one that takes its place."""
        thread: int = self.thread_id()  # type: ignore[no-untyped-call]
        return self.life() << THREAD_BITS | thread

    def thread_of(self, number: int) -> int:
        """Return the id of the thread with this number; 0, which none has, for another life's.

        Another thread may have its id by now. Raises the driver's errors.
        """
        life, thread = divmod(number, 1 << THREAD_BITS)
        return thread if life in (0, self.life()) else 0

    @property
    def is_mariadb(self) -> bool:
        """Tell MariaDB from MySQL."""
        version: str = self.get_server_info()  # type: ignore[no-untyped-call]
        return "MariaDB" in version

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        """Return what TLS is spoken with: one context for all where no certificate is checked."""
        return super()._create_ssl_ctx(sslp) if sslp else _unchecked()  # type: ignore[misc]

    def begin_xa(self, xid: str) -> None:
        """Begin an XA transaction; ``xid`` is ASCII without quotes. Raises the driver's errors."""
        self.query(f"XA START '{xid}'")
        self.xid, self.may_commit = xid, False

    def allow_commit(self) -> None:
        """Let the next `commit` end the XA transaction. Raises ProgrammingError without one."""
        if self.xid is None:
            raise pymysql.err.ProgrammingError("the run's transaction was ended by its driver")
        self.may_commit = True

    def commit(self) -> None:
        """Commit. Inside XA a COMMIT is sent as it is, for the server to refuse, unless allowed."""
        if self.xid is None or not self.may_commit:
            super().commit()
            return
        self.query(f"XA END '{self.xid}'")
        self.query(f"XA COMMIT '{self.xid}' ONE PHASE")
        self.xid = None

    def rollback(self) -> None:
        """Roll back; inside XA also what the server has rolled back, all but the name."""
        if self.xid is None:
            super().rollback()
            return
        with suppress(pymysql.err.MySQLError):  # it has ended, or the server has lost it
            self.query(f"XA END '{self.xid}'")
        self.query(f"XA ROLLBACK '{self.xid}'")
        self.xid = None
