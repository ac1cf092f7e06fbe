"""Databases, kernels and stacks, for tests of a worker process."""

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
    postgresql_rows_url,
    postgresql_url,
    sqlite_url,
    stack,
)

__all__ = [
    "database_url",
    "kernel",
    "main_database",
    "main_database_url",
    "main_rows_url",
    "make_kernel",
    "mariadb_rows_url",
    "mariadb_url",
    "new_database_url",
    "postgresql_rows_url",
    "postgresql_url",
    "sqlite_url",
    "stack",
]
