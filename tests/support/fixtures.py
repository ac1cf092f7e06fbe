"""Fixtures for the conftest of a folder to import: databases, kernels on them, whole stacks."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from kernel.builtin import handlers as builtin_handlers
from kernel.config.settings import load
from kernel.db.columns import Base
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, create_tables
from tests.support.guards import MAIN_DATABASE
from tests.support.postgresql import PostgreSQL
from tests.support.sealing import SECRETS_KEY
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


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """URL of a new PostgreSQL database without tables; takes longer than `postgresql_rows_url`."""
    url = postgresql.create_database()
    yield url
    postgresql.drop(url)


@pytest.fixture
def postgresql_rows_url(postgresql: PostgreSQL, postgresql_database: str) -> Iterator[str]:
    """URL of the session's PostgreSQL database: no rows, but tables that earlier tests made."""
    yield postgresql_database
    postgresql.empty(postgresql_database)


@pytest.fixture
def main_database_url(request: pytest.FixtureRequest) -> str:
    """URL of a new database without tables, of the kind that KERNEL_TEST_DATABASE names."""
    url: str = request.getfixturevalue(f"{MAIN_DATABASE}_url")
    return url


@pytest.fixture
def main_rows_url(request: pytest.FixtureRequest) -> str:
    """URL of a database without rows, of the kind that KERNEL_TEST_DATABASE names."""
    url: str = request.getfixturevalue(f"{MAIN_DATABASE}_rows_url")
    return url


@pytest.fixture
def main_database(request: pytest.FixtureRequest) -> MariaDB | PostgreSQL:
    """The server of `main_database_url` and `main_rows_url`."""
    server: MariaDB | PostgreSQL = request.getfixturevalue(MAIN_DATABASE)
    return server


@pytest.fixture
def new_database_url(request: pytest.FixtureRequest) -> str:
    """URL of a new database without tables, for tests of migrations; as `database_url`."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "mariadb"])
def old_database_url(request: pytest.FixtureRequest) -> str:
    """URL of a new database of a kind that the releases with old names knew."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a database without rows, one run per kind that `tests.support.kinds` gives the test.

    Create the tables if they are not there.
    """
    kind = request.param
    url: str = request.getfixturevalue(f"{kind}_url" if kind == "sqlite" else f"{kind}_rows_url")
    return url


@pytest.fixture
def make_kernel(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Kernel]]:
    """Build kernels for a database, with its tables and a FakeTransport; all are closed again."""
    template = tmp_path_factory.getbasetemp() / "tables.db"
    with ExitStack() as stack:

        def make(url: str, handlers: Handlers = builtin_handlers, **settings: Any) -> Kernel:
            transport = settings.pop("transport", None) or FakeTransport()
            given = {"database_url": url, "result_backend": "", "secrets_key": SECRETS_KEY}
            # As test clients name it that are no loopback's.
            given |= {"hosts": ["kernel.example"]}
            kernel = Kernel(load(**given | settings), handlers, transport)
            stack.callback(kernel.close)
            if make_url(url).get_backend_name() == "sqlite":
                _copy_tables(template, Path(str(make_url(url).database)))
            create_tables(kernel)
            return kernel

        yield make


def _copy_tables(template: Path, path: Path) -> None:
    """Put a file with the tables where none is: copied, that takes a tenth of making them."""
    if path.exists():
        return
    if not template.exists():
        made = Kernel(load(database_url=f"sqlite:///{template}", result_backend=""))
        Base.metadata.create_all(made.engine)
        made.close()
    shutil.copy(template, path)


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    """A kernel with the built-in handlers, on each kind of database."""
    return make_kernel(database_url)


@pytest.fixture
def stack(
    tmp_path: Path, main_database_url: str, redis: Redis, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """A stack on a server and Redis, nothing started yet; settings by indirect parameters."""
    with Stack(tmp_path, main_database_url, redis, **getattr(request, "param", {})) as built:
        yield built
