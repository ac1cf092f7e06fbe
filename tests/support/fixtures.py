"""Fixtures for the conftest of a folder to import: databases, kernels on them, whole stacks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kernel.builtin import handlers as builtin_handlers
from kernel.config.settings import load
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, create_tables
from tests.support.servers import MariaDB, Redis
from tests.support.stack import Stack


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/kernel.db"


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """URL of a new MariaDB schema without tables. Takes 60 ms more than `mariadb_rows_url`."""
    url = mariadb.create_database()
    yield url
    mariadb.drop(url)


@pytest.fixture
def mariadb_rows_url(mariadb: MariaDB, mariadb_schema: str) -> Iterator[str]:
    """URL of the session's MariaDB schema: no rows, but the tables that earlier tests made."""
    yield mariadb_schema
    mariadb.empty(mariadb_schema)


@pytest.fixture(params=["sqlite", "mariadb"])
def new_database_url(request: pytest.FixtureRequest) -> str:
    """URL of a new database without tables, for tests of migrations: one run per kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a database without rows, one run per kind. Create the tables if they are not there."""
    names = {"sqlite": "sqlite_url", "mariadb": "mariadb_rows_url"}
    url: str = request.getfixturevalue(names[request.param])
    return url


@pytest.fixture
def make_kernel(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Build kernels for a database, with its tables and a FakeTransport; all are closed again."""
    with ExitStack() as stack:

        def make(url: str, handlers: Handlers = builtin_handlers, **settings: Any) -> Kernel:
            transport = settings.pop("transport", None) or FakeTransport()
            settings = {"database_url": url, "result_backend": "", **settings}
            kernel = Kernel(load(**settings), handlers, transport)
            stack.callback(kernel.close)
            create_tables(kernel)
            return kernel

        yield make


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    """A kernel with the built-in handlers, on SQLite and on MariaDB."""
    return make_kernel(database_url)


@pytest.fixture
def stack(
    tmp_path: Path, mariadb_url: str, redis: Redis, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """A stack on MariaDB and Redis, nothing started yet; settings by indirect parameters."""
    with Stack(tmp_path, mariadb_url, redis, **getattr(request, "param", {})) as built:
        yield built
