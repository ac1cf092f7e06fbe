"""Rows in every table with all that a column may hold: made from the tables' own descriptions."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    insert,
)
from sqlalchemy.dialects import mysql

from kernel.builtin import projects
from kernel.db.columns import Token, UTCDateTime

TABLES: list[Table] = projects.metadata.sorted_tables
TEXTS = ("é 桥 😀 trailing  ", "", "Straße 'STRASSE' \"\\% \x7f\x01", "a\r\n\tb\u2028", "{}")
LONG = "桥😀" * 40_000
MOMENT = datetime(2026, 3, 29, 0, 59, 59, 999_999, UTC)


def fill(engine: Engine, counts: dict[str, int]) -> None:
    """Insert two rows into each table, and as many as ``counts`` says by its name."""
    with engine.begin() as connection:
        for table in TABLES:
            rows = [row(table, number) for number in range(counts.get(table.name, 2))]
            connection.execute(insert(table), rows)


def row(table: Table, number: int) -> dict[str, Any]:
    """Return a row of a table; foreign keys lead to rows of the first two numbers."""
    return {column.name: value(column, number) for column in table.c}


def value(column: Column[Any], number: int) -> Any:
    """Return what a column has in a row: extreme, awkward or null; never twice in a key."""
    if column.nullable and number % 2:
        return None
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return value(key.column, number % 2)
    made = _MADE.get(type(column.type))
    return _text(column, number) if made is None else made(column.primary_key, number)


_MADE: dict[type[Any], Callable[[bool, int], Any]] = {
    UTCDateTime: lambda _, number: MOMENT + timedelta(microseconds=number),
    Boolean: lambda _, number: number % 2 == 0,
    SmallInteger: lambda is_key, number: number + 1 if is_key else 2**15 - 1 - number % 3,
    Integer: lambda is_key, number: number + 1 if is_key else 2**31 - 1 - number,
    BigInteger: lambda is_key, number: number + 1 if is_key else 2**63 - 1 - number,
    LargeBinary: lambda _, number: bytes(range(256)) * (number % 2),
}
_MYSQL = mysql.dialect()


def _text(column: Column[Any], number: int) -> str:
    kind: Any = column.type
    if isinstance(kind, Token):
        made = f"{number:08d}-Aa"
        return made if kind.length <= 36 else made.ljust(kind.length, "~")
    text = TEXTS[number % len(TEXTS)]
    if isinstance(kind, Text):
        return LONG if number == 0 and _is_long(column) else text * 3
    return text if number else "é" * kind.length


def _is_long(column: Column[Any]) -> bool:
    return type(column.type.dialect_impl(_MYSQL)).__name__ == "LONGTEXT"
