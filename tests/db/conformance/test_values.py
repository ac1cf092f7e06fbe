"""What is stored is read back as it was, and found by exactly that."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, String, Text, insert, select, update
from sqlalchemy.exc import DBAPIError, StatementError

from kernel.db.columns import Base, Token
from kernel.db.errors import is_passing
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import SelectTag
from kernel.runtime.kernel import Kernel
from tests.support.abilities import Kind
from tests.support.factories import make_order, order

ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=1000)
# What kernel itself writes in one (JSON), and the word of a handler's own table.
OURS = ("phases", "projname")
one_by_one = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)


@one_by_one
@given(value=ANY)
def test_text_is_the_same_character_by_character(kernel: Kernel, value: str) -> None:
    found = order(kernel, make_order(kernel, args=value, message=value))
    assert (found.args, found.message) == (value, value)


@pytest.mark.parametrize("value", ["x" * 70_000, "😀" * 300_000], ids=["64 KiB", "1 MiB"])
def test_text_is_the_same_when_it_is_long(kernel: Kernel, value: str) -> None:
    assert order(kernel, make_order(kernel, args=value)).args == value


def test_nul_is_kept_or_refused_for_good(kernel: Kernel, kind: Kind) -> None:
    if "hold NUL" not in kind.cannot:
        assert order(kernel, make_order(kernel, args="a\0b")).args == "a\0b"
        return
    assert kernel.dialect.cannot_hold("a\0b", None)
    with pytest.raises(DBAPIError) as refused:
        make_order(kernel, args="a\0b")
    assert not is_passing(refused.value)


@pytest.mark.parametrize("other", ["Tag", "TAG", "tag ", " tag", "ta"])
def test_word_is_found_by_itself_alone(kernel: Kernel, kind: Kind, other: str) -> None:
    with kernel.write() as connection:
        row = {"tag": "tag", "seen_at": kernel.clock.now()}
        connection.execute(insert(SelectTag).values(row))
        found = connection.scalars(select(SelectTag.tag).where(SelectTag.tag == other)).all()
    pads = other == "tag " and "tell a space at the end" in kind.cannot
    assert found == (["tag"] if pads else [])


@pytest.mark.parametrize(
    "column",
    [c for t in Base.metadata.sorted_tables for c in t.c if isinstance(c.type, Token)],
    ids=str,
)
def test_word_is_compared_with_every_script(kernel: Kernel, column: Column[str]) -> None:
    with kernel.read() as connection:
        for one, other in (("桥", "é"), ("\0", "a\0b")):
            for fits in (column == one, column.in_([one, other]), column > one, column.like(other)):
                assert connection.execute(select(column).where(fits)).all() == []


@pytest.mark.parametrize(
    "column",
    [
        c
        for t in Base.metadata.sorted_tables
        for c in t.c
        if isinstance(c.type, String) and not isinstance(c.type, Text) and c.name not in OURS
    ],
    ids=str,
)
def test_text_is_compared_with_nul(kernel: Kernel, column: Column[str]) -> None:
    with kernel.read() as connection:
        for fits in (column == "a\0b", column.in_(["\0", "a\0b"]), column.startswith("\0")):
            assert connection.execute(select(column).where(fits)).all() == []


def test_name_with_nul_is_stored(kernel: Kernel) -> None:
    order_id = make_order(kernel, reference="a\0b")
    with kernel.read() as connection:
        found = select(ORDERS.c.id).where(ORDERS.c.reference == "a\0b")
        assert connection.scalars(found).all() == [order_id]


def test_word_of_another_script_is_refused_when_it_is_stored(kernel: Kernel) -> None:
    row = {"tag": "é", "seen_at": kernel.clock.now()}
    with kernel.write() as connection, pytest.raises(StatementError, match="ASCII"):
        connection.execute(insert(SelectTag).values(row))


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0])
def test_number_of_64_bits_is_the_same(kernel: Kernel, number: int) -> None:
    found = order(kernel, make_order(kernel, progress_current=number, connection_id=number))
    assert (found.progress_current, found.connection_id) == (number, number)


@one_by_one
@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_time_is_the_same_to_the_microsecond(kernel: Kernel, moment: datetime) -> None:
    assert order(kernel, make_order(kernel, started_at=moment)).started_at == moment


def test_databases_time_goes_on_by_microseconds_and_is_compared_as_stored(
    kernel: Kernel, kind: Kind
) -> None:
    clock = kernel.clock
    with kernel.read() as connection:
        times = [connection.scalars(select(clock.sql())).one() for _ in range(20)]
        shifted = connection.scalars(select(clock.sql(timedelta(microseconds=-1500)))).one()
    assert times == sorted(times)
    assert shifted < times[-1] + timedelta(seconds=5)
    assert any(one.microsecond % 1000 for one in times) == ("microseconds" not in kind.cannot)
    order_id = make_order(kernel)
    due = ORDERS.c.run_after <= clock.sql()
    with kernel.write() as connection:
        matched = connection.execute(update(ORDERS).where(due).values(message="due")).rowcount
    assert (matched, order(kernel, order_id).message) == (1, "due")
