"""Databases and kernels, for tests of claims and runs."""

from collections.abc import Iterator

import pytest

from kernel.runs import claim
from kernel.runs.together import company
from tests.support.fixtures import (
    database_url,
    kernel,
    main_database,
    main_rows_url,
    make_kernel,
    mariadb_rows_url,
    mariadb_url,
    postgresql_rows_url,
    postgresql_url,
    sqlite_url,
)
from tests.support.servers import MariaDB

__all__ = [
    "database_url",
    "kernel",
    "main_database",
    "main_rows_url",
    "make_kernel",
    "mariadb_rows_url",
    "mariadb_url",
    "postgresql_rows_url",
    "postgresql_url",
    "sqlite_url",
]


@pytest.fixture(scope="module")
def schema_of_file(mariadb: MariaDB) -> Iterator[str]:
    """URL of a MariaDB schema of this file of tests: a new one for each takes half a second."""
    url = mariadb.create_database()
    yield url
    mariadb.drop(url)


@pytest.fixture
def mariadb_own_url(mariadb: MariaDB, schema_of_file: str) -> Iterator[str]:
    """URL of a schema in which a test may make and alter tables, triggers and procedures."""
    yield schema_of_file
    mariadb.clear(schema_of_file)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one process claim all orders of a message, however slow the machine is."""
    monkeypatch.setattr(claim, "BATCH_SECONDS", 3600.0)
    monkeypatch.setattr(company, "TOGETHER_SECONDS", 3600.0)
