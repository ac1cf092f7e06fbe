"""Which database it is, and all that follows from it: one file each. Only this room knows.

To add a database: a file with a `Dialect`, its line in `DIALECTS`, and its URL in the settings.
"""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from kernel.db.dialects.base import Dialect
from kernel.db.dialects.mysql import MySQL
from kernel.db.dialects.sqlite import SQLite, file_url
from kernel.errors import ConfigurationError

__all__ = ["DIALECTS", "Dialect", "dialect_of", "dialect_of_error", "file_url"]

DIALECTS: tuple[Dialect, ...] = (MySQL(), SQLite())


def dialect_of(url: str | URL) -> Dialect:
    """Return the dialect of the database at ``url``.

    Raises ConfigurationError when ``url`` cannot be parsed or names another kind of database.
    """
    try:
        name = make_url(url).get_backend_name()
    except ArgumentError as error:
        raise ConfigurationError(f"KERNEL_DATABASE_URL: {error}") from None
    for dialect in DIALECTS:
        if name in dialect.names:
            return dialect
    raise ConfigurationError(f"KERNEL_DATABASE_URL: {name} is not supported")


def dialect_of_error(error: BaseException | None) -> Dialect | None:
    """Return the dialect whose driver raised ``error``; None when no driver did."""
    for dialect in DIALECTS:
        if isinstance(error, dialect.driver_errors):
            return dialect
    return None
