"""Databases and kernels, for tests of keys and identities."""

from tests.support.fixtures import (
    database_url,
    kernel,
    make_kernel,
    mariadb_rows_url,
    postgresql_rows_url,
    sqlite_url,
)

__all__ = [
    "database_url",
    "kernel",
    "make_kernel",
    "mariadb_rows_url",
    "postgresql_rows_url",
    "sqlite_url",
]
