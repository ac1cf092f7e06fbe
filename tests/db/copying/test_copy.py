"""Rows are the same on another kind of database, also when each copy of them was killed."""

from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from kernel.db.copying.compare import compare_rows
from kernel.db.copying.copy import SEEDED, copy_rows
from kernel.db.copying.pages import Sides
from kernel.db.dialects import dialect_of
from kernel.db.engine import make_engine
from kernel.db.schema import migrate
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import ATTEMPTS
from kernel.db.tables.orders import ORDERS, Order
from kernel.db.tables.service import SelectTag
from kernel.errors import ConfigurationError, Conflict
from tests.db.copying.conftest import EVERY_PAIR, MANY
from tests.support.filling import MOMENT, TABLES, fill, row, value
from tests.support.interrupted import Interrupted


def rows(engine: Engine, table: Any) -> list[dict[str, Any]]:
    """All rows of a table, by key."""
    with engine.connect() as connection:
        found = connection.execute(select(table).order_by(*table.primary_key))
        return [dict(one) for one in found.mappings()]


def filled(table: Any) -> list[dict[str, Any]]:
    """The rows that `fill` has written, by key."""
    found = [row(table, number) for number in range(MANY.get(table.name, 2))]
    keys = [one.name for one in table.primary_key]
    return sorted(found, key=lambda one: tuple(one[key] for key in keys))


every_pair = pytest.mark.parametrize("urls", EVERY_PAIR, ids=" to ".join, indirect=True)


def said_to(engine: Engine) -> list[str]:
    """Return a list of what is said on an engine from now on."""
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    return said


@every_pair
def test_every_value_is_the_same_when_it_was_copied(sides: Sides) -> None:
    written = copy_rows(sides)
    for table in TABLES:
        assert rows(sides.target, table) == filled(table)
    assert written == sum(len(filled(table)) for table in TABLES)
    assert [one.rows for one in compare_rows(sides)] == [len(filled(one)) for one in TABLES]


def test_source_is_only_read_when_it_is_copied(sides: Sides) -> None:
    said = said_to(sides.source)
    copy_rows(sides)
    compare_rows(sides)
    assert {one.split()[0] for one in said} <= {"SELECT", "BEGIN"}
    assert "BEGIN IMMEDIATE" not in said


def test_copy_is_finished_when_each_run_was_killed(urls: tuple[str, str]) -> None:
    source, target = urls
    migrate.upgrade(source)
    migrate.upgrade(target)
    engine = make_engine(source)
    with engine.begin() as connection:
        for seeded in SEEDED:
            connection.execute(delete(seeded))
    fill(engine, MANY)
    engine.dispose()
    kills = 0
    with Interrupted(source, "copy", "--to", target) as copying:
        while copying.killed(after=6):
            kills += 1
    assert kills >= 2
    engine = make_engine(target)
    for table in TABLES:
        assert rows(engine, table) == filled(table)
    engine.dispose()


def test_no_row_is_written_when_all_are_there(sides: Sides) -> None:
    copy_rows(sides)
    said = said_to(sides.target)
    assert copy_rows(sides) == 0
    assert not [one for one in said if one.startswith(("INSERT", "UPDATE", "DELETE"))]


@pytest.mark.parametrize("number", [0, 120, MANY["kernel_orders"] + 1])
def test_target_is_refused_when_it_has_an_order_of_its_own(sides: Sides, number: int) -> None:
    copy_rows(sides)
    order = row(ORDERS, number) | {"id": f"{number:08d}-Other", "idempotency_key": None}
    with sides.target.begin() as connection:
        connection.execute(delete(ATTEMPTS))
        connection.execute(insert(ORDERS).values(order))
    with pytest.raises(ConfigurationError, match=f"kernel_orders id={order['id']}, which"):
        copy_rows(sides)
    assert rows(sides.target, ATTEMPTS) == []


def test_target_is_refused_when_its_row_has_another_value(sides: Sides) -> None:
    copy_rows(sides)
    with sides.target.begin() as connection:
        connection.execute(update(Caller).where(Caller.id == 2).values(headers="{ }"))
    with pytest.raises(ConfigurationError, match="kernel_callers id=2 differs in headers"):
        copy_rows(sides)


@every_pair
def test_target_counts_on_above_the_highest_id_when_it_was_copied(sides: Sides) -> None:
    copy_rows(sides)
    attempt = row(ATTEMPTS, 5)
    del attempt["id"]
    with sides.target.begin() as connection:
        connection.execute(insert(ATTEMPTS).values(attempt))
    assert [one["id"] for one in rows(sides.target, ATTEMPTS)] == [1, 2, 3]


# ---- What a target cannot hold ----------------------------------------------------------------


def change(sides: Sides, statement: Any) -> None:
    """Change rows of the source."""
    with sides.source.begin() as connection:
        connection.execute(statement)


def refusing(sides: Sides, value: str, length: int | None) -> bool:
    """Whether the target says that it cannot hold a text, and the source that it can."""
    here, there = (dialect_of(one.url) for one in (sides.source, sides.target))
    return bool(there.cannot_hold(value, length)) and not here.cannot_hold(value, length)


def test_text_is_named_when_it_is_too_long_for_the_target(sides: Sides) -> None:
    long = "é" * 1001
    if not refusing(sides, long, 1000):
        assert copy_rows(sides)
        return
    key = value(ORDERS.c.id, 130)
    change(sides, update(Order).where(Order.id == key).values(message=long))
    with pytest.raises(Conflict) as refused:
        copy_rows(sides)
    name = f"kernel_orders id={key} message: 1001 characters where 1000 fit"
    assert refused.value.message == f"the target cannot hold {name}"
    assert rows(sides.target, ORDERS) == filled(ORDERS)[:100]


@every_pair
def test_nul_is_copied_or_named(sides: Sides) -> None:
    key = value(ORDERS.c.id, 130)
    if dialect_of(sides.source.url).cannot_hold("a\0b", None):
        return
    change(sides, update(Order).where(Order.id == key).values(message="a\0b"))
    if refusing(sides, "a\0b", None):
        with pytest.raises(Conflict, match=f"hold kernel_orders id={key} message: a NUL"):
            copy_rows(sides)
        return
    copy_rows(sides)
    assert rows(sides.target, ORDERS)[130]["message"] == "a\0b"


def test_row_is_named_when_the_target_takes_it_for_another(sides: Sides) -> None:
    tags = [{"tag": tag, "seen_at": MOMENT} for tag in ("same", "same ")]
    try:
        change(sides, insert(SelectTag).values(tags))
    except IntegrityError:  # so does the source
        return
    if sides.target.dialect.name != "mysql":  # the others compare spaces at the end, too
        copy_rows(sides)
        assert {"same", "same "} <= {row["tag"] for row in rows(sides.target, SelectTag.__table__)}
        return
    with pytest.raises(Conflict, match="the target refuses kernel_select_tags tag=same : "):
        copy_rows(sides)
    assert rows(sides.target, SelectTag.__table__) == []


def test_new_installation_is_left_alone_when_the_target_is_itself_by_another_address(
    sqlite_url: str,
) -> None:
    migrate.upgrade(sqlite_url)
    here, there = (
        make_engine(sqlite_url),
        make_engine(sqlite_url.replace("kernel.db", "./kernel.db")),
    )
    before = [rows(here, table) for table in SEEDED]
    assert copy_rows(Sides(here, there, TABLES, lambda _: None)) == 0
    assert [rows(here, table) for table in SEEDED] == before
    assert all(before)
    for engine in (here, there):
        engine.dispose()
