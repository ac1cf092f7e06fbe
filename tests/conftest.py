"""What every test gets: a clean environment, no outside network, nothing left behind.

Fixtures that only some rooms need stand in the conftest of their folders. What is shared by the
whole session stands here, and is loaded when a test asks for it: pure tests load no server.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import guards, kinds

if TYPE_CHECKING:
    from tests.support.postgresql import PostgreSQL
    from tests.support.servers import MariaDB, Redis

for _name in [name for name in os.environ if name.startswith("KERNEL_")]:
    del os.environ[_name]

# A machine that is busy with other tests is slow, and no test is wrong for that.
settings.register_profile("kernel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kernel")

sys.addaudithook(guards.refuse_outside)
sys.addaudithook(guards.note_unvetted)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of rows on each kind of database: `-m rows` is the suite of a dialect."""
    kinds.run_on_kinds(metafunc, Path(__file__).parent)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Put the environment back as it was; tests start without any KERNEL_* variable."""
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(autouse=True)
def leaks(environment: None) -> Iterator[None]:
    """Fail a test that leaves a child process or a thread that would keep Python running."""
    threads, children = guards.running_threads(), guards.running_children()
    yield
    assert not guards.unvetted, f"connected without being vetted: {guards.unvetted}"
    deadline = time.monotonic() + 2  # what has been told to end may need a moment
    while left := [
        *(guards.running_threads() - threads),
        *(guards.running_children() - children),
    ]:
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def mariadb() -> "Iterator[MariaDB]":
    """The session's MariaDB. A test that stops, kills or pauses it brings it back."""
    from tests.support.servers import MariaDB, require

    require("mariadbd", "mysqld")
    with closing(MariaDB()) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def mariadb_schema(mariadb: "MariaDB") -> str:
    """URL of the schema that tests share; `mariadb_rows_url` empties it after each."""
    return mariadb.create_database()


@pytest.fixture(scope="session")
def postgresql() -> "Iterator[PostgreSQL]":
    """The session's PostgreSQL. A test that stops, kills or pauses it brings it back."""
    from tests.support.postgresql import PostgreSQL, program

    program("postgres")
    with closing(PostgreSQL()) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def postgresql_database(postgresql: "PostgreSQL") -> str:
    """URL of the database that tests share; `postgresql_rows_url` empties it after each."""
    return postgresql.create_database()


@pytest.fixture(scope="session")
def redis() -> "Iterator[Redis]":
    """The session's Redis. A test that stops, kills or pauses it brings it back."""
    from tests.support.servers import Redis, require

    require("redis-server", "valkey-server")
    with closing(Redis()) as server:
        server.start()
        yield server
