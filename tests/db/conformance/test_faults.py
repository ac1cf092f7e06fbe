"""Errors that are made for real mean on each database what stages make of them."""

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from kernel.db.errors import is_contention, is_interruption, is_outage, is_passing
from kernel.db.tables.service import SelectTag
from kernel.runtime.kernel import Kernel
from tests.support.abilities import Kind, tell

TAG = {"tag": "a", "seen_at": None}


def test_connection_is_killed_by_its_number_where_there_is_a_server(
    kernel: Kernel, kind: Kind
) -> None:
    with kernel.run_connection() as frozen:
        number = kernel.dialect.connection_number(frozen)
        assert (number is None) == ("kill" in kind.cannot)
        if number is None:
            return
        with kernel.write() as connection:
            kernel.dialect.kill_connection(connection, number)
        with pytest.raises(DBAPIError) as ended:
            frozen.execute(text("SELECT 1"))
    assert is_outage(ended.value)
    with pytest.raises(DBAPIError), kernel.write() as connection:
        kernel.dialect.kill_connection(connection, number)


def test_statement_is_ended_by_the_server_and_told_apart_from_an_outage(
    kernel: Kernel, kind: Kind
) -> None:
    assert bool(kind.interrupted) != ("interrupt" in kind.cannot)
    if not kind.interrupted:
        return
    with kernel.engine.connect() as connection:
        with pytest.raises(DBAPIError) as found:
            tell(connection, kind.interrupted)
        assert is_passing(found.value)
        assert is_interruption(found.value)
        assert not is_contention(found.value)
        assert not is_outage(found.value)
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1


@pytest.mark.parametrize("statement", ["SELECT never FROM kernel_orders", "no statement"])
def test_wrong_statement_is_nothing_that_passes(kernel: Kernel, statement: str) -> None:
    with pytest.raises(DBAPIError) as refused, kernel.read() as connection:
        connection.execute(text(statement))
    assert not is_passing(refused.value)


def test_transaction_goes_on_when_a_savepoint_is_gone_back_to(kernel: Kernel) -> None:
    row = {"tag": "a", "seen_at": kernel.clock.now()}
    with kernel.engine.begin() as connection:
        connection.execute(insert(SelectTag).values(row))
        with pytest.raises(IntegrityError) as twice, connection.begin_nested():
            connection.execute(insert(SelectTag).values(row))
        assert kernel.dialect.holds_transaction(connection)
        connection.execute(insert(SelectTag).values(row | {"tag": "b"}))
    assert not is_passing(twice.value)
    assert not is_contention(twice.value)
    with kernel.read() as connection:
        assert sorted(connection.scalars(select(SelectTag.tag))) == ["a", "b"]


def test_transaction_that_is_gone_is_told(kernel: Kernel) -> None:
    with kernel.engine.connect() as connection:
        kernel.dialect.before_first_write(connection)
        values = {"tag": "a", "seen_at": kernel.clock.now()}
        connection.execute(insert(SelectTag).values(values))
        assert kernel.dialect.holds_transaction(connection)
        connection.connection.cursor().execute("ROLLBACK")
        assert not kernel.dialect.holds_transaction(connection)
