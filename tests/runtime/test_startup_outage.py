"""The database goes away, or takes no writes, in the middle of the check at the start."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals
from pydantic import SecretStr
from sqlalchemy import delete, event, make_url

from kernel.db.columns import Base
from kernel.db.tables.service import Installation
from kernel.errors import Unavailable
from kernel.runtime import startup
from kernel.runtime.installation import Name
from kernel.runtime.kernel import Kernel
from kernel.views.app import create_app
from kernel.worker.celery_app import make_worker
from tests.support.servers import MariaDB, Redis

MakeKernel = Callable[..., Kernel]
# In the middle of what a check asks.
SOME = 5
LIMITED = "limited@'127.0.0.1'"


@pytest.fixture
def kernel(make_kernel: MakeKernel, mariadb_url: str, redis: Redis) -> Kernel:
    return make_kernel(mariadb_url, broker_url=redis.url(1))


def lose(kernel: Kernel, server: MariaDB, number: int) -> list[str]:
    """Have the server end a connection before the statement of this number, counted from 0.

    Returns a list in which the statements will be.
    """
    asked: list[str] = []

    def end(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)
        if len(asked) == number + 1:
            server.execute(f"KILL {connection.connection.dbapi_connection.thread_id()}")

    for engine in {kernel.engine, kernel.engines.single}:
        event.listen(engine, "before_cursor_execute", end)
    return asked


def again(kernel: Kernel) -> Kernel:
    """The kernel of another process, in an installation that has no name yet."""
    with kernel.write() as connection:
        connection.execute(delete(Installation))
    return Kernel(kernel.settings, kernel.handlers, kernel.transport)


def test_check_says_that_the_database_is_away_whichever_statement_finds_it(
    kernel: Kernel, mariadb: MariaDB
) -> None:
    with closing(again(kernel)) as one:
        asked = lose(one, mariadb, -1)
        startup.check(one)
    for number in range(len(asked)):
        with closing(again(kernel)) as one:
            lose(one, mariadb, number)
            with pytest.raises(Unavailable, match="KERNEL_DATABASE_URL"):
                startup.check(one)
            assert startup.check(one) == []


def test_api_answers_503_when_the_database_goes_away_within_its_start(
    kernel: Kernel, mariadb: MariaDB, caplog: pytest.LogCaptureFixture
) -> None:
    lose(kernel, mariadb, SOME)
    create_app(kernel)
    assert "answering 503 until it does" in caplog.text


@pytest.fixture
def limited(make_kernel: MakeKernel, kernel: Kernel, mariadb: MariaDB) -> Iterator[Kernel]:
    """A kernel whose user has its rights table by table, so that the start tries them."""
    url = make_url(kernel.settings.database_url.get_secret_value())
    grants = [
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {url.database}.{name} TO {LIMITED}"
        for name in (*Base.metadata.tables, "kernel_alembic_version")
    ]
    mariadb.execute(f"CREATE OR REPLACE USER {LIMITED}", *grants)
    own = SecretStr(url.set(username="limited").render_as_string(hide_password=False))
    with closing(Kernel(kernel.settings.model_copy(update={"database_url": own}))) as made:
        yield made
    mariadb.execute("SET GLOBAL read_only = 0", f"DROP USER {LIMITED}")


def test_api_starts_when_a_demoted_server_refuses_the_check_its_writes(
    limited: Kernel, mariadb: MariaDB
) -> None:
    assert startup.check(limited) == []
    mariadb.execute("SET GLOBAL read_only = 1")
    with pytest.raises(Unavailable, match="read-only"):
        startup.check(limited)
    create_app(limited)


def begun(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> str:
    """Begin a worker as Celery does; return the queue it reads."""
    monkeypatch.setattr(signals.celeryd_init, "receivers", [])  # other tests' workers
    app = make_worker(kernel)
    signals.celeryd_init.send(sender="worker", instance=SimpleNamespace(app=app))
    return str(app.conf.task_default_queue)


@pytest.mark.parametrize("number", [0, SOME])
def test_worker_waits_and_reads_its_own_queue_when_the_database_goes_away_within_its_start(
    kernel: Kernel, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    lose(kernel, mariadb, number)
    assert begun(monkeypatch, kernel) == kernel.one(Name).queue()


def test_worker_ends_when_its_start_fails_for_a_reason_that_was_not_foreseen(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Celery would swallow the error, and read the queue that its configuration names."""

    def fail(_: object) -> list[str]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(startup, "check", fail)
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit, match="RuntimeError: a bug"):
        begun(monkeypatch, kernel)
    assert "Traceback" in caplog.text
