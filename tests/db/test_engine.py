"""The engine's guards and the clock."""

import shutil
import sqlite3
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from sqlalchemy import text
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kernel.config.settings import load
from kernel.db.clock import Clock, read_clock
from kernel.db.dialects.mysql_driver import XaConnection
from kernel.db.engine import Idle, make_engine
from kernel.db.errors import is_passing
from kernel.db.ids import new_id
from kernel.db.schema import migrate
from kernel.errors import Unavailable
from kernel.handlers import Handlers
from kernel.orders.submit import submit
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from tests.support.factories import ANYBODY, make_order, order, request
from tests.support.servers import MariaDB

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MakeKernel = Callable[..., Kernel]


def test_clock_is_carried_forward_when_it_was_read() -> None:
    reads = []
    clock = Clock(lambda: reads.append(1) or T0)
    first, second = clock.now(), clock.now()
    assert T0 <= first <= second < T0 + timedelta(seconds=1)
    assert len(reads) == 1


def test_clock_goes_on_when_the_database_cannot_be_read() -> None:
    answers = iter([T0])
    clock = Clock(lambda: next(answers))
    clock.now()
    clock.sync()
    assert clock.now() >= T0


def test_clock_follows_the_database_when_the_host_is_wrong(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert abs((kernel.clock.now() - read_clock(kernel.engine)).total_seconds()) < 1


def test_time_keeps_its_microseconds_when_stored(kernel: Kernel) -> None:
    moment = kernel.clock.now().replace(microsecond=123457)
    assert order(kernel, make_order(kernel, created_at=moment)).created_at == moment


def test_naive_time_is_refused_when_stored(kernel: Kernel) -> None:
    with pytest.raises(Exception, match="naive datetime"):
        make_order(kernel, created_at=datetime(2026, 1, 1))


def test_ids_sort_by_time_when_made_one_after_the_other() -> None:
    ids = [new_id(T0 + timedelta(microseconds=n)) for n in range(0, 5000, 7)]
    assert ids == sorted(ids)
    assert {one[14] for one in ids} == {"7"}
    assert {one[19] for one in ids} <= set("89ab")


def test_text_too_long_is_an_error_when_the_server_is_lax(
    make_kernel: MakeKernel, mariadb_rows_url: str
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    with pytest.raises(DataError):
        make_order(kernel, message="x" * 1001)


def test_sessions_are_strict_utf8_and_read_committed_when_opened(
    make_kernel: MakeKernel, mariadb_rows_url: str
) -> None:
    kernel = make_kernel(mariadb_rows_url)
    query = "SELECT @@tx_isolation, @@sql_mode, @@character_set_client, @@innodb_lock_wait_timeout"
    with kernel.read_session() as session:
        isolation, mode, charset, wait = session.execute(text(query)).one()
    assert (isolation, charset, wait) == ("READ-COMMITTED", "utf8mb4", 5)
    assert "STRICT_ALL_TABLES" in mode


def test_connection_is_replaced_when_the_server_dropped_it_while_idle(
    mariadb: MariaDB, mariadb_rows_url: str
) -> None:
    engine = make_engine(mariadb_rows_url, idle=Idle(ping_after=0.0))
    with engine.connect() as connection:
        number = connection.scalar(text("SELECT CONNECTION_ID()"))
    mariadb.execute(f"KILL {number}")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT CONNECTION_ID()")) != number
    engine.dispose()


def test_reading_does_not_wait_when_a_writer_holds_the_file(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    with kernel.write_session() as writer:
        writer.execute(text("UPDATE kernel_callers SET name = 'x'"))
        with kernel.read_session() as reader:
            assert reader.scalar(text("SELECT name FROM kernel_callers")) == "anonymous"


def test_second_writer_gives_up_when_the_file_stays_locked(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    with kernel.write_session() as first:
        first.execute(text("UPDATE kernel_callers SET name = 'x'"))
        with pytest.raises(OperationalError) as refused, kernel.write_session() as second:
            second.execute(text("UPDATE kernel_callers SET name = 'y'"))
    assert is_passing(refused.value)


def test_authorities_are_read_for_a_connection_when_certificates_are_checked(
    tmp_path: Path,
) -> None:
    """All other connections share one context."""
    one, other = (XaConnection(defer_connect=True) for _ in range(2))
    assert one.ctx is other.ctx
    assert (one.ctx.check_hostname, one.ctx.verify_mode) == (False, ssl.CERT_NONE)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    checked = XaConnection(defer_connect=True, ssl={"ca": str(tmp_path / "ca.pem")})
    assert checked.ctx.verify_mode == ssl.CERT_REQUIRED


# ---- A database that is a file ----------------------------------------------------------------


@pytest.fixture
def on_file(make_kernel: MakeKernel, sqlite_url: str) -> Kernel:
    return make_kernel(sqlite_url)


@pytest.mark.parametrize("is_replaced", [True, False])
def test_file_that_was_moved_away_takes_nothing_more(
    on_file: Kernel, tmp_path: Path, is_replaced: bool
) -> None:
    """As a restore beside a process that was not stopped does it."""
    order_id, file, moved = make_order(on_file), tmp_path / "kernel.db", tmp_path / "moved.db"
    on_file.dialect.forget_log(on_file.engine)
    file.rename(moved)
    if is_replaced:
        shutil.copy(moved, file)
    with pytest.raises(Unavailable):
        submit(on_file, ANYBODY, request())
    with pytest.raises(PoolTimeout, match="was moved away or replaced: put it back"):
        order(on_file, order_id)
    assert file.exists() == is_replaced
    moved.rename(file)
    submit(on_file, ANYBODY, request())


def test_file_that_took_anothers_place_is_the_database_of_a_new_start(
    on_file: Kernel, tmp_path: Path
) -> None:
    make_order(on_file)
    on_file.dialect.forget_log(on_file.engine)
    (tmp_path / "kernel.db").rename(tmp_path / "moved.db")
    shutil.copy(tmp_path / "moved.db", tmp_path / "kernel.db")
    on_file.close()
    submit(on_file, ANYBODY, request())


def test_start_warns_when_the_file_system_takes_no_log_to_write_ahead(
    sqlite_url: str, tmp_path: Path
) -> None:
    migrate.upgrade(sqlite_url)
    with closing(sqlite3.connect(tmp_path / "kernel.db")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    url = f"sqlite:///file:{tmp_path}/kernel.db?vfs=unix-dotfile&uri=true"
    with closing(Kernel(load(database_url=url), Handlers())) as kernel:
        (warning,) = startup.check_database(kernel)
    assert "journal_mode is delete" in warning
