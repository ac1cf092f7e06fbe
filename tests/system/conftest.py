"""Databases, kernels and stacks, for tests of the whole."""

from tests.support.fixtures import (
    database_url,
    kernel,
    make_kernel,
    mariadb_rows_url,
    mariadb_url,
    sqlite_url,
    stack,
)

__all__ = [
    "database_url",
    "kernel",
    "make_kernel",
    "mariadb_rows_url",
    "mariadb_url",
    "sqlite_url",
    "stack",
]
