"""Databases and kernels, for what the pages of the documentation do."""

from tests.support.fixtures import (
    database_url,
    kernel,
    make_kernel,
    mariadb_rows_url,
    postgresql_rows_url,
    sqlite_url,
)
from tests.support.people.terminal import empty_terminal, terminal

__all__ = [
    "database_url",
    "empty_terminal",
    "kernel",
    "make_kernel",
    "mariadb_rows_url",
    "postgresql_rows_url",
    "sqlite_url",
    "terminal",
]
