"""What every test gets: a clean environment, no outside network, nothing left behind."""

import ipaddress
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from kernel.builtin import handlers as builtin_handlers
from kernel.config.settings import load
from kernel.db import migrate
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, create_tables
from tests.support.browser import (  # noqa: F401 - fixtures
    chromium,
    leader,
    operator,
    operators_key,
    site,
    window,
)
from tests.support.servers import MariaDB, Redis, Server, require
from tests.support.stack import Stack
from tests.support.terminal import Terminal
from tests.support.vetted import violations
from tests.support.waiting import is_running

for _name in [name for name in os.environ if name.startswith("KERNEL_")]:
    del os.environ[_name]


class OutsideConnection(RuntimeError):
    """A test tried to reach a host other than this one."""


def _is_local(host: Any) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host if isinstance(host, str) else host.decode()).is_loopback
    except ValueError:
        return str(host).endswith(".localhost")


def _refuse_outside(event: str, args: tuple[Any, ...]) -> None:
    """Let tests connect to this host only; names of other hosts do not resolve."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise OutsideConnection(f"tests do not connect to {address[0]}")
    elif event == "socket.getaddrinfo" and not _resolves(args[0]):
        raise socket.gaierror(socket.EAI_NONAME, f"tests do not look up {args[0]!r}")


def _resolves(host: Any) -> bool:
    """An address needs no look-up, so it always 'resolves'."""
    try:
        ipaddress.ip_address(host if isinstance(host, str) else "")
    except ValueError:
        return _is_local(host)
    return True


sys.addaudithook(_refuse_outside)


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Put the environment back as it was; tests start without any KERNEL_* variable."""
    before = dict(os.environ)
    yield
    if dict(os.environ) != before:
        os.environ.clear()
        os.environ.update(before)


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _children() -> set[int]:
    """Process ids of this process's living children, the shared servers left out."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(pid) for pid in task.read_text().split())
        except FileNotFoundError:
            continue  # that thread has just ended
    return {pid for pid in found - Server.running if is_running(pid)}


@pytest.fixture(autouse=True)
def leaks(environment: None) -> Iterator[None]:
    """Fail a test that leaves a child process or a thread that would keep Python running."""
    threads, children = _threads(), _children()
    yield
    assert not violations, f"connected without being vetted: {violations}"
    deadline = time.monotonic() + 2  # what has been told to end may need a moment
    while (left := [*(_threads() - threads), *(_children() - children)]) != []:
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """The session's MariaDB. A test that stops, kills or pauses it brings it back."""
    require("mariadbd", "mysqld")
    with closing(MariaDB()) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """The session's Redis. A test that stops, kills or pauses it brings it back."""
    require("redis-server", "valkey-server")
    with closing(Redis()) as server:
        server.start()
        yield server


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


@pytest.fixture(scope="session")
def _mariadb_schema(mariadb: MariaDB) -> str:
    return mariadb.create_database()


@pytest.fixture
def mariadb_rows_url(mariadb: MariaDB, _mariadb_schema: str) -> Iterator[str]:
    """URL of the session's MariaDB schema: no rows, but the tables that earlier tests made."""
    yield _mariadb_schema
    mariadb.empty(_mariadb_schema)


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


@pytest.fixture
def empty_terminal(sqlite_url: str) -> Iterator[Terminal]:
    """The command line, on a database that does not exist yet."""
    with closing(Terminal(sqlite_url)) as terminal:
        yield terminal


@pytest.fixture
def terminal(empty_terminal: Terminal) -> Terminal:
    """The command line, on a migrated database."""
    migrate.upgrade(empty_terminal.settings["database_url"])
    return empty_terminal
