"""Databases of every kind, kernels and stacks on them."""

from tests.support.fixtures import (
    database_url,
    kernel,
    make_kernel,
    mariadb_rows_url,
    mariadb_url,
    new_database_url,
    sqlite_url,
    stack,
)

__all__ = [
    "database_url",
    "kernel",
    "make_kernel",
    "mariadb_rows_url",
    "mariadb_url",
    "new_database_url",
    "sqlite_url",
    "stack",
]
