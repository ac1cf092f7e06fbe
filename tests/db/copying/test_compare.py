"""What differs between two databases is found and named."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, text, update

from kernel.db.copying.compare import canonical, compare_rows, left_out
from kernel.db.copying.copy import copy_rows
from kernel.db.copying.pages import Sides
from kernel.db.tables.callers import Caller
from kernel.db.tables.deliveries import ATTEMPTS, DELIVERIES
from kernel.db.tables.orders import ORDERS
from kernel.errors import Conflict
from tests.support.filling import MOMENT, row, value

LAST = value(ORDERS.c.id, 349)
CHANGES: dict[str, tuple[Any, str]] = {
    "time": (
        update(ORDERS)
        .where(ORDERS.c.id == LAST)
        .values(run_after=MOMENT + timedelta(microseconds=1)),
        f"kernel_orders id={LAST} differs in run_after",
    ),
    "case": (
        update(ORDERS).where(ORDERS.c.id == LAST).values(message="É"),
        f"kernel_orders id={LAST} differs in message",
    ),
    "trailing space": (
        update(Caller).where(Caller.id == 2).values(allow_nets="{} "),
        "kernel_callers id=2 differs in allow_nets",
    ),
    "null": (
        update(ORDERS).where(ORDERS.c.id == value(ORDERS.c.id, 0)).values(result=None),
        "kernel_orders id=00000000-Aa differs in result",
    ),
    "bytes": (
        update(DELIVERIES).where(DELIVERIES.c.id == "00000001-Aa").values(body=b"\xff"),
        "kernel_deliveries id=00000001-Aa differs in body",
    ),
    "row that is gone": (
        delete(ATTEMPTS).where(ATTEMPTS.c.id == 2),
        "the target has kernel_attempts id=2, which the source has not",
    ),
    "row that was added": (
        insert(ORDERS).values(row(ORDERS, 350)),
        "kernel_orders id=00000350-Aa is missing at the target",
    ),
}


@pytest.fixture
def copied(sides: Sides) -> Sides:
    """Two databases that are equal."""
    copy_rows(sides)
    return sides


@pytest.mark.parametrize("kind", CHANGES)
def test_change_at_the_source_is_named_when_it_was_made_after_the_copy(
    copied: Sides, kind: str
) -> None:
    change, named = CHANGES[kind]
    with copied.source.begin() as connection:
        connection.execute(change)
    with pytest.raises(Conflict) as found:
        compare_rows(copied)
    assert found.value.message == named


def test_hashes_are_those_of_the_rows_whatever_the_database(copied: Sides) -> None:
    rows = b"".join(canonical(tuple(row(Caller.__table__, one).values())) for one in range(2))
    (found,) = [one for one in compare_rows(copied) if one.name == "kernel_callers"]
    assert found == ("kernel_callers", 2, hashlib.sha256(rows).hexdigest())


def test_rows_are_told_apart_when_their_values_run_together() -> None:
    rows: list[Any] = [
        ("ab", "c"),
        ("a", "bc"),
        (b"ab", "c"),
        (None, "abc"),
        ("", "abc"),
        (1,),
        ("1",),
    ]
    assert len({canonical(one) for one in rows}) == len(rows)


def test_what_is_the_applications_is_said_when_it_is_not_copied(sides: Sides) -> None:
    with sides.source.begin() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER PRIMARY KEY)"))
        connection.execute(text("ALTER TABLE kernel_orders ADD COLUMN colour INTEGER"))
    assert left_out(sides) == ["invoices", "kernel_orders.colour"]
