"""What a MariaDB server has to allow: refused or warned of at the start, with the line to type."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, make_url, text
from sqlalchemy.exc import DBAPIError

from kernel.db.errors import is_contention
from kernel.db.schema import migrate
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from tests.support.servers import MariaDB, Redis

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def kernel(make_kernel: MakeKernel, mariadb_url: str, redis: Redis) -> Kernel:
    return make_kernel(mariadb_url, broker_url=redis.url(1))


def refused(kernel: Kernel) -> str:
    with pytest.raises(ConfigurationError) as caught:
        startup.check(kernel)
    return caught.value.message


@contextmanager
def set_to(server: MariaDB, name: str, value: object) -> Iterator[None]:
    """Set a variable of the server for new connections."""
    ((before,),) = server.execute(f"SELECT @@GLOBAL.{name}")
    server.execute(f"SET GLOBAL {name} = {value!r}")
    try:
        yield
    finally:
        server.execute(f"SET GLOBAL {name} = {before!r}")


def test_start_is_refused_when_the_server_takes_no_statement_of_an_orders_length(
    kernel: Kernel, mariadb: MariaDB
) -> None:
    kernel.engines.dispose()
    with set_to(mariadb, "max_allowed_packet", 1 << 20):
        assert "SET GLOBAL max_allowed_packet = 4194304" in refused(kernel)


def test_start_warns_when_the_server_takes_no_statement_of_a_batchs_length(
    kernel: Kernel, mariadb: MariaDB
) -> None:
    kernel.engines.dispose()
    with set_to(mariadb, "max_allowed_packet", 8 << 20):
        (warning,) = startup.check(kernel)
    assert "SET GLOBAL max_allowed_packet = 16777216" in warning
    assert "KERNEL_MAX_BATCH_BYTES" in warning


def test_start_warns_when_the_processes_may_open_more_connections_than_there_are(
    make_kernel: MakeKernel, mariadb_url: str, mariadb: MariaDB, redis: Redis
) -> None:
    many = {"api_processes": 16, "worker_processes": 12}
    with set_to(mariadb, "max_connections", 151):
        kernel = make_kernel(mariadb_url, broker_url=redis.url(1), **many)
        (warning,) = startup.check(kernel)
    assert "max_connections is 151" in warning
    assert "about 167" in warning


@pytest.mark.parametrize(("kind", "idle"), [("running", 0), ("writing", 10)])
def test_limits_of_the_server_for_silent_transactions_hold_in_no_session(
    kernel: Kernel, mariadb: MariaDB, kind: str, idle: int
) -> None:
    """A run is silent for as long as its handler may; a short transaction for 10 s, not longer."""
    names = [f"idle_{one}transaction_timeout" for one in ("", "write_", "readonly_")]
    kernel.engines.dispose()
    with ExitStack() as limited:
        for name in names:
            limited.enter_context(set_to(mariadb, name, 3600))
        with getattr(kernel.engines, kind).connect() as connection:
            found = connection.execute(text(f"SELECT {', '.join(f'@@{one}' for one in names)}"))
            assert found.one() == (idle, 0, 0)


def test_start_warns_of_a_server_that_takes_no_writes(kernel: Kernel, mariadb: MariaDB) -> None:
    with set_to(mariadb, "read_only", 1):
        (warning,) = startup.check(kernel)
    assert "takes no writes now, as a standby" in warning


def test_table_that_is_locked_is_waited_for_as_long_as_a_row(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a change of the table that waits itself, and a backup."""
    monkeypatch.setattr(kernel.dialect, "lock_wait_seconds", 1)
    kernel.engines.dispose()
    with kernel.engine.connect() as locking:
        locking.execute(text("LOCK TABLES kernel_pauses WRITE"))
        with pytest.raises(DBAPIError) as refused, kernel.write() as rival:
            rival.execute(text("DELETE FROM kernel_pauses"))
        locking.execute(text("UNLOCK TABLES"))
    assert is_contention(refused.value)


def test_start_warns_when_its_own_connections_are_limited(
    make_kernel: MakeKernel, mariadb_url: str, mariadb: MariaDB, redis: Redis
) -> None:
    url, user = make_url(mariadb_url).set(username="counted"), "counted@'127.0.0.1'"
    mariadb.execute(
        f"CREATE USER {user} WITH MAX_USER_CONNECTIONS 12",
        f"GRANT ALL ON {url.database}.* TO {user}",
    )
    try:
        shown = url.render_as_string(hide_password=False)
        kernel = make_kernel(shown, broker_url=redis.url(1), api_processes=2)
        (warning,) = startup.check(kernel)
    finally:
        mariadb.execute(f"DROP USER {user}")
    assert "max_user_connections is 12" in warning


class Logging(MariaDB):
    """A MariaDB that writes a binary log."""

    def argv(self) -> list[str]:
        return [*super().argv(), "--log-bin", "--server-id=1"]


@pytest.mark.slow
def test_start_is_refused_when_the_server_logs_statements(make_kernel: MakeKernel) -> None:
    with closing(Logging()) as server:
        server.start()
        url = server.create_database()
        migrate.upgrade(url)
        kernel = make_kernel(url)
        server.execute("SET GLOBAL binlog_format = 'STATEMENT'")
        kernel.engines.dispose()
        with pytest.raises(ConfigurationError, match="SET GLOBAL binlog_format = 'ROW'") as caught:
            startup.check_database(kernel)
        server.execute(caught.value.message.split(": ")[1].split(",")[0])
        kernel.engine.dispose()
        startup.check_database(kernel)


def test_start_is_refused_when_a_table_folds_case(kernel: Kernel) -> None:
    folding = "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
    with kernel.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE kernel_keys CONVERT TO {folding}"))
    said = refused(kernel)
    assert "compared without regard to case" in said
    with kernel.engine.begin() as connection:
        connection.execute(text(said.rpartition("Convert it: ")[2]))
    assert startup.check(kernel) == []


# ---- Tables of another schema -----------------------------------------------------------------


@pytest.fixture
def beside(mariadb: MariaDB) -> Iterator[str]:
    """A schema beside that of kernel."""
    mariadb.execute("CREATE DATABASE beside CHARACTER SET utf8mb4")
    yield "beside"
    mariadb.execute("DROP DATABASE beside")


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ("ENGINE=MyISAM", "ALTER TABLE beside.tickets ENGINE=InnoDB"),
        ("CHARACTER SET latin1", "ALTER TABLE beside.tickets CONVERT TO CHARACTER SET utf8mb4"),
    ],
)
def test_table_of_another_schema_matters_where_handlers_name_that(
    make_kernel: MakeKernel, mariadb_url: str, redis: Redis, beside: str, options: str, mend: str
) -> None:
    here, there = MetaData(), MetaData(schema=beside)
    for own in (here, there):
        Table("tickets", own, Column("id", Integer, primary_key=True), Column("said", String(9)))
    kernel = make_kernel(mariadb_url, Handlers(here), broker_url=redis.url(1))
    with kernel.engine.begin() as connection:
        here.create_all(connection)
        columns = "(id INT PRIMARY KEY, said VARCHAR(9))"
        connection.execute(text(f"CREATE TABLE {beside}.tickets {columns} {options}"))
    assert startup.check(kernel) == []
    kernel = make_kernel(mariadb_url, Handlers(there), broker_url=redis.url(1))
    assert mend in refused(kernel)
