"""Databases of every kind, kernels and stacks on them."""

from tests.support.fixtures import (
    database_url,
    kernel,
    main_database,
    main_database_url,
    main_rows_url,
    make_kernel,
    mariadb_rows_url,
    mariadb_url,
    new_database_url,
    old_database_url,
    postgresql_rows_url,
    postgresql_url,
    sqlite_url,
    stack,
)
from tests.support.people.terminal import empty_terminal

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
    "new_database_url",
    "old_database_url",
    "postgresql_rows_url",
    "postgresql_url",
    "sqlite_url",
    "stack",
]
