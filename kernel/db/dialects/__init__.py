"""Which database it is, and all that follows from it: one file each. Only this room knows.

To add a database: a file with a `Dialect`, its line in `DIALECTS`, and its URL in the settings.
"""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from kernel.config.settings import Settings
from kernel.db.dialects.base import Dialect
from kernel.db.dialects.mysql import MySQL
from kernel.db.dialects.postgresql import PostgreSQL
from kernel.db.dialects.sqlite import SQLite, file_url
from kernel.errors import ConfigurationError

__all__ = ["DIALECTS", "Dialect", "dialect_of", "dialect_of_error", "file_url", "url_of"]

DIALECTS: tuple[Dialect, ...] = (MySQL(), PostgreSQL(), SQLite())


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


def url_of(settings: Settings) -> str:
    """Return the database's URL with what KERNEL_DATABASE_CA_FILE asks for in it.

    Every connection is made by this one. Raises as `dialect_of`.
    """
    url = settings.database_url.get_secret_value()
    if settings.database_ca_file is None:
        return url
    trusting = dialect_of(url).trust(make_url(url), settings.database_ca_file)
    return trusting.render_as_string(hide_password=False)


def dialect_of_error(error: BaseException | None) -> Dialect | None:
    """Return the dialect whose driver raised ``error``; None when no driver did."""
    for dialect in DIALECTS:
        if isinstance(error, dialect.driver_errors):
            return dialect
    return None
