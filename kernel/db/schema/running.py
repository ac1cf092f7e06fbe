"""Runs migrations on a database, one process at a time: kernel's own, and those of handlers.

SQLite is kept by a write transaction around all of it, the others by an advisory lock. The old code
may still be running, so nothing here waits for a lock for long.
"""

from collections.abc import Mapping
from typing import Any

from alembic import context
from sqlalchemy import Connection

from kernel.db.engine import make_engine
from kernel.db.errors import DRIVER_ERRORS, is_contention
from kernel.errors import Unavailable

# How long to wait for another migration, and for statements that use a table (the server's own
# default for the latter is a day, in which every new statement queues up behind the migration).
WAIT_SECONDS = 60
# Lifts what a server may end slow statements and silent transactions by: a large table's rebuild
# would never be over. MariaDB and MySQL take each other's variables for a comment. MariaDB's limits
# of silence are lifted in every session but those of short transactions.
UNLIMITED = "/*M! , max_statement_time = 0 */ /*!50708 , max_execution_time = 0 */"
# The same on PostgreSQL, for those that its version has.
LIFTED = (
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN"
    " ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')"
)


def run(url: str, options: Mapping[str, Any]) -> None:
    """Run the migrations that Alembic was asked for; ``options`` are those of its context.

    Call it from an env.py. Raises Unavailable while another migration runs.
    """
    # A table of millions of rows takes as long as it takes to rebuild.
    engine = make_engine(url, read_timeout=None)
    try:
        with engine.connect() as connection:
            kind = connection.dialect.name
            PREPARE.get(kind, _lock_mysql)(connection)
            context.configure(
                connection=connection,
                compare_type=True,
                render_as_batch=kind == "sqlite",
                transactional_ddl=kind in PREPARE,
                on_version_apply=context.config.attributes.get("applied", ()),
                **options,
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        engine.dispose()


def _prepare_sqlite(connection: Connection) -> None:
    """Table rebuilds drop tables that others refer to; only outside a transaction can that be."""
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")


def _lock_mysql(connection: Connection) -> None:
    """Take the lock for this schema; it goes with the connection. No transaction is begun.

    The server's time limits are lifted.
    """
    raw: Any = connection.connection
    with raw.cursor() as cursor:
        cursor.execute(f"SET SESSION lock_wait_timeout = {WAIT_SECONDS} {UNLIMITED}")
        name = "LEFT(CONCAT('kernel migrate ', DATABASE()), 64)"
        cursor.execute(f"SELECT GET_LOCK({name}, {WAIT_SECONDS})")
        if cursor.fetchone() != (1,):
            raise Unavailable("another migration of this database is running")


def _lock_postgresql(connection: Connection) -> None:
    """Take the lock for this database, and lift limits, as `_lock_mysql` does."""
    raw: Any = connection.connection.dbapi_connection
    raw.autocommit = True
    raw.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
    raw.execute(LIFTED)
    try:
        raw.execute("SELECT pg_advisory_lock(hashtext('kernel migrate'))")
    except DRIVER_ERRORS as error:
        if not is_contention(error):
            raise
        raise Unavailable("another migration of this database is running") from error
    raw.autocommit = False


# Those on which a migration is one transaction, changes of tables included.
PREPARE = {"sqlite": _prepare_sqlite, "postgresql": _lock_postgresql}
