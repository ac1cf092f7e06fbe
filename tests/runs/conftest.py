"""Databases and kernels, for tests of claims and runs."""

from tests.support.fixtures import (
    database_url,
    kernel,
    make_kernel,
    mariadb_rows_url,
    mariadb_url,
    sqlite_url,
)

__all__ = [
    "database_url",
    "kernel",
    "make_kernel",
    "mariadb_rows_url",
    "mariadb_url",
    "sqlite_url",
]
