"""Databases, kernels, stacks and the command line, for tests of HTTP."""

from tests.support.fixtures import (
    database_url,
    kernel,
    make_kernel,
    mariadb_rows_url,
    mariadb_url,
    sqlite_url,
    stack,
)
from tests.support.people.terminal import empty_terminal, terminal

__all__ = [
    "database_url",
    "empty_terminal",
    "kernel",
    "make_kernel",
    "mariadb_rows_url",
    "mariadb_url",
    "sqlite_url",
    "stack",
    "terminal",
]
