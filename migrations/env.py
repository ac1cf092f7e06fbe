"""How Alembic reaches the database, for `kernel migrate` and for `alembic` in a checkout.

One migration at a time: SQLite by a write transaction around all of it, MariaDB and MySQL by an
advisory lock. The old code may still be running, so nothing here waits for a lock for long.
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection, event

import kernel.builtin
import kernel.db.tables.orders  # noqa: F401 - both know tables
from kernel.config.settings import load
from kernel.db.columns import Base
from kernel.db.engine import make_engine
from kernel.db.schema.version import VERSION_TABLE
from kernel.errors import Unavailable

# How long to wait for another migration, and for statements that use a table (the server's own
# default for the latter is a day, in which every new statement queues up behind the migration).
WAIT_SECONDS = 60


def migrate() -> None:
    """Run the migrations that the command asked for."""
    given = context.config.attributes
    engine = make_engine(given.get("url") or load().database_url.get_secret_value())
    event.listen(engine, "do_connect", _without_read_timeout)
    try:
        with engine.connect() as connection:
            sqlite = connection.dialect.name == "sqlite"
            _prepare_sqlite(connection) if sqlite else _lock_mysql(connection)
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                include_name=_is_ours,
                version_table=VERSION_TABLE,
                compare_type=True,
                render_as_batch=sqlite,
                transactional_ddl=sqlite,
                on_version_apply=given.get("applied", ()),
            )
            with context.begin_transaction():
                context.run_migrations()
    finally:
        engine.dispose()


def _is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave an application's tables out of comparisons, but not a table that kernel has left."""
    ours = name in Base.metadata.tables or str(name).startswith("kernel_")
    return kind != "table" or ours


def _without_read_timeout(_dialect: Any, _record: Any, _args: Any, options: dict[str, Any]) -> None:
    """A table of millions of rows takes as long as it takes to rebuild."""
    options.pop("read_timeout", None)


def _prepare_sqlite(connection: Connection) -> None:
    """Table rebuilds drop tables that others refer to; only outside a transaction can that be."""
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")


def _lock_mysql(connection: Connection) -> None:
    """Take the lock for this schema; it goes with the connection. No transaction is begun."""
    with connection.connection.cursor() as cursor:
        cursor.execute(f"SET SESSION lock_wait_timeout = {WAIT_SECONDS}")
        name = "LEFT(CONCAT('kernel migrate ', DATABASE()), 64)"
        cursor.execute(f"SELECT GET_LOCK({name}, {WAIT_SECONDS})")
        if cursor.fetchone() != (1,):
            raise Unavailable("another migration of this database is running")


migrate()
