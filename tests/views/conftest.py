"""Databases, kernels, stacks and the command line, for tests of HTTP."""

from tests.support.fixtures import (
    database_url,
    kernel,
    main_database,
    main_database_url,
    main_rows_url,
    make_kernel,
    mariadb_rows_url,
    mariadb_url,
    postgresql_rows_url,
    postgresql_url,
    sqlite_url,
    stack,
)
from tests.support.people.terminal import empty_terminal, terminal

__all__ = [
    "database_url",
    "empty_terminal",
    "kernel",
    "main_database",
    "main_database_url",
    "main_rows_url",
    "make_kernel",
    "mariadb_rows_url",
    "mariadb_url",
    "postgresql_rows_url",
    "postgresql_url",
    "sqlite_url",
    "stack",
    "terminal",
]
