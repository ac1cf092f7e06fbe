"""What an error of the database means, as SQLAlchemy wraps it and as a driver raises it itself."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kernel.db.dialects import mysql, sqlite
from kernel.db.errors import (
    driver_error,
    is_contention,
    is_interruption,
    is_missing_table,
    is_outage,
    is_passing,
)
from kernel.db.transactions import retrying
from kernel.errors import Unavailable
from kernel.runtime.kernel import Kernel


def server(number: int) -> pymysql.err.OperationalError:
    return pymysql.err.OperationalError(number, "")


def file(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(f"code {code}")
    error.sqlite_errorcode = code
    return error


def wrapped(error: BaseException, *, lost: bool = False) -> OperationalError:
    return OperationalError("", {}, error, connection_invalidated=lost)


BUSY_SNAPSHOT = sqlite3.SQLITE_BUSY | 2 << 8
PASSING = [server(number) for number in (1205, 1213, 1969, 2013)]
PASSING += [pymysql.err.InterfaceError(0, "")]
# A disk that is full, as an engine and as a file says it; no memory, no thread.
PASSING += [server(number) for number in (1030, 1026, 3, 1037, 1038, 1041, 1135)]
PASSING += [file(sqlite3.SQLITE_BUSY), file(BUSY_SNAPSHOT), file(sqlite3.SQLITE_FULL)]
FINAL = [server(1062), server(1146), file(sqlite3.SQLITE_ERROR), sqlite3.IntegrityError("")]
FINAL += [OSError("gone"), ValueError("")]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_error_is_passing_when_the_database_is_in_trouble(error: BaseException) -> None:
    assert is_passing(error)
    assert is_passing(wrapped(error))


@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_error_is_not_passing_when_the_same_work_would_fail_again(error: BaseException) -> None:
    assert not is_passing(error)
    assert not is_passing(wrapped(error))
    assert not is_contention(error)


@given(st.integers(1, 70_000).filter(lambda number: number not in mysql.PASSING))
def test_number_that_stands_in_no_list_is_the_statements_own_fault(number: int) -> None:
    for kind in (pymysql.err.OperationalError, pymysql.err.InternalError, pymysql.err.DataError):
        error = kind(number, "")
        assert not any(asks(error) for asks in (is_passing, is_contention, is_interruption))
        assert not is_outage(wrapped(error)), "an answer of the database"


@pytest.mark.parametrize(
    ("code", "is_so"),
    [
        *[(sqlite3.SQLITE_READONLY, True), (sqlite3.SQLITE_FULL, True)],
        *[(sqlite3.SQLITE_IOERR_WRITE, True), (sqlite3.SQLITE_CANTOPEN, True)],
        *[(sqlite3.SQLITE_BUSY, False), (sqlite3.SQLITE_ERROR, False)],
    ],
)
def test_file_is_away_while_its_disk_takes_nothing(code: int, is_so: bool) -> None:
    """While it is locked it is there: a rival writes."""
    assert is_outage(wrapped(file(code))) is is_so
    assert is_passing(file(code)) is (code != sqlite3.SQLITE_ERROR)


@given(st.integers(1, 1 << 16).filter(lambda code: code & 0xFF not in sqlite.PASSING))
def test_result_code_that_stands_in_no_list_is_the_statements_own_fault(code: int) -> None:
    assert not any(asks(file(code)) for asks in (is_passing, is_contention))


def test_file_that_takes_no_writes_is_no_fault_of_a_statement(
    make_kernel: Callable[..., Kernel], sqlite_url: str
) -> None:
    kernel = make_kernel(sqlite_url)
    with kernel.write() as connection:
        connection.execute(text("PRAGMA query_only = ON"))  # as on a disk that is read-only
        with pytest.raises(DBAPIError) as refused:
            connection.execute(text("DELETE FROM kernel_orders"))
    kernel.engines.dispose()
    assert is_passing(refused.value)


def test_no_list_of_kinds_names_an_error_that_does_not_pass() -> None:
    assert mysql.CONTENTION | mysql.INTERRUPTED <= mysql.PASSING


def test_error_is_passing_when_the_connection_was_lost_or_there_is_none() -> None:
    assert is_passing(wrapped(ValueError("closed"), lost=True))
    assert is_passing(PoolTimeout())
    assert not is_passing(None)


@pytest.mark.parametrize(
    ("error", "contention"),
    [
        (server(1205), True),
        (server(1213), True),
        (server(2013), False),
        (file(sqlite3.SQLITE_BUSY), True),
        (PoolTimeout(), False),
    ],
)
def test_error_is_contention_when_a_rival_was_first(error: Any, contention: bool) -> None:
    assert is_contention(error) is contention
    assert is_contention(wrapped(error)) is contention
    assert not is_contention(wrapped(error, lost=True))


def test_table_is_missing_when_it_was_never_made(kernel: Kernel) -> None:
    found = []
    for statement in (
        "SELECT 1 FROM never_made",
        "SELECT never FROM kernel_orders",
        "no statement",
    ):
        with pytest.raises(DBAPIError) as refused, kernel.read() as connection:
            connection.execute(text(statement))
        found.append(is_missing_table(refused.value))
    assert found == [True, False, False]
    assert not is_missing_table(OSError("no such table"))


def test_drivers_error_is_what_people_read_when_there_is_one() -> None:
    inner = server(1205)
    assert driver_error(wrapped(inner)) is inner
    assert driver_error(inner) is inner


@pytest.mark.parametrize("error", [server(2013), wrapped(file(sqlite3.SQLITE_BUSY))], ids=repr)
def test_work_is_tried_again_when_its_error_passes(error: BaseException) -> None:
    failures = [error, error]

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert retrying(work) == "done"


def test_work_ends_with_when_to_come_back_when_its_error_stays() -> None:
    def work() -> None:
        raise server(2013)

    with pytest.raises(Unavailable) as told:
        retrying(work)
    assert told.value.data["retry_after"] == 2


def test_work_is_not_tried_again_when_the_statement_is_wrong() -> None:
    tries = []

    def work() -> None:
        tries.append(1)
        raise server(1062)

    with pytest.raises(pymysql.err.OperationalError):
        retrying(work)
    assert tries == [1]
