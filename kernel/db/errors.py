"""What a driver's error means: passing trouble, contention, or the statement's own fault."""

import sqlite3

import pymysql

# Errors after which the transaction, or the whole connection, is gone while the work itself may
# be fine: lock wait timeout, deadlock, too many connections, shutdown, killed, disk or table
# full, network errors, server gone, idle too long, "record has changed since last read".
MYSQL_PASSING = frozenset(
    {1020, 1021, 1040, 1053, 1077, 1078, 1079, 1080, 1114, 1129, 1158, 1159, 1160, 1161, 1180}
    | {1184, 1203, 1205, 1213, 1226, 1290, 1317, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 4031}
)


# Of these, the ones that say that somebody else was first.
MYSQL_CONTENTION = frozenset({1020, 1205, 1213})
DRIVER_ERRORS = (pymysql.err.MySQLError, sqlite3.Error)


SQLITE_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_CANTOPEN,
    }
)


def is_passing(error: BaseException | None) -> bool:
    """Tell whether a DBAPI error is the database's trouble of the moment, not the statement's."""
    if isinstance(error, sqlite3.OperationalError):
        return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in SQLITE_PASSING
    if isinstance(error, pymysql.err.InterfaceError):
        return True
    if isinstance(error, pymysql.err.MySQLError) and error.args:
        return error.args[0] in MYSQL_PASSING
    return False


def is_contention(error: BaseException | None) -> bool:
    """Tell whether a passing error came from a database that is there: somebody else was first.

    On SQLite every one does: while its file is locked, nobody else could have written.
    """
    if isinstance(error, pymysql.err.MySQLError):
        return bool(error.args) and error.args[0] in MYSQL_CONTENTION
    return is_passing(error)
