"""Databases and kernels, for what the pages of the documentation do."""

from tests.support.fixtures import database_url, kernel, make_kernel, mariadb_rows_url, sqlite_url

__all__ = ["database_url", "kernel", "make_kernel", "mariadb_rows_url", "sqlite_url"]
