"""Which migration the database is at, and which one this code needs."""

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from kernel.db.dialects import dialect_of
from kernel.db.dialects.mends import explain
from kernel.db.engine import READ_ONLY
from kernel.db.errors import DATABASE_ERRORS, driver_error, is_missing_table
from kernel.errors import ConfigurationError, Unavailable

# The newest migration this code needs. An older schema is refused, a newer one accepted.
SCHEMA = "0034"
# A table of its own: `alembic_version` is the application's, whose migrations know other numbers.
VERSION_TABLE = "kernel_alembic_version"

_VERSION = text(f"SELECT MAX(version_num) FROM {VERSION_TABLE}")  # noqa: S608  # nosec B608


def check_schema(engine: Engine) -> None:
    """Refuse a database that cannot be reached or is behind this code's migrations.

    Raises Unavailable when it cannot be reached, ConfigurationError when it is behind.
    """
    file = dialect_of(engine.url).file_of(engine.url)
    if file is not None and not file.exists():
        raise ConfigurationError(f"there is no database {file}: run `kernel migrate`")
    found, unseen = _version(engine)
    if found is None or found < SCHEMA:
        said = "" if unseen is None else f"{unseen}. For another installation than that, "
        raise ConfigurationError(
            f"the database is at migration {found or 'none'} and this code needs {SCHEMA}: "
            f"{said}run `kernel migrate`"
        )


def found_schema(connection: Connection) -> str | None:
    """Return the migration that the database is at; None when it was never migrated.

    Raises the database's errors.
    """
    try:
        found: str | None = connection.scalar(_VERSION)
    except DBAPIError as error:
        if not is_missing_table(error):
            raise
        return None
    return found


def _version(engine: Engine) -> tuple[str | None, str | None]:
    """Return the migration, and where there is none what to do to have the table of it found."""
    try:
        with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
            if (found := found_schema(connection)) is not None:
                return found, None
            connection.rollback()  # an error may have spoiled the transaction
            return None, dialect_of(engine.url).unseen(connection, VERSION_TABLE)
    except DATABASE_ERRORS as error:
        raise Unavailable(explain(driver_error(error) or error, engine.url)) from error
