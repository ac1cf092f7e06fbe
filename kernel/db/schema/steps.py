"""The steps of migrations. Each asks before it acts: what is done already is left as it is.

MariaDB commits every statement that changes a table by itself. A migration that was interrupted has
taken some of its steps, and its number is not written; run again, it takes the rest.

Only migrations import this file: it imports Alembic, which no other command waits for.
"""

from collections.abc import Iterable
from typing import Any

from alembic import op
from sqlalchemy import Column, Inspector, String, Table, inspect
from sqlalchemy.schema import CreateTable

MOST_CHARACTERS = 63


def look() -> Inspector:
    """Return what tells which tables the database has now; an old one remembers old answers."""
    found: Inspector = inspect(op.get_bind())
    return found


def make_table(table: Table) -> None:
    """Make a table, and those of its indexes that are missing."""
    if not look().has_table(table.name):
        op.execute(CreateTable(table))
    for index in sorted(table.indexes, key=lambda one: str(one.name)):
        make_index(str(index.name), table.name, [column.name for column in index.columns])


def drop_table(name: str) -> None:
    """Drop a table with its rows."""
    if look().has_table(name):
        op.drop_table(name)


def make_index(name: str, table: str, columns: list[str], *, unique: bool = False) -> None:
    """Make an index."""
    if name not in _indexes(table):
        op.create_index(op.f(name), table, columns, unique=unique)


def drop_index(name: str, table: str) -> None:
    """Drop an index."""
    if name in _indexes(table):
        op.drop_index(op.f(name), table_name=table)


def rename_index(table: str, old: str, new: str) -> None:
    """Rename an index; SQLite makes it anew."""
    known = _indexes(table)
    old = _stored_as(old, known)
    if old not in known:
        return
    kind = op.get_bind().dialect.name
    if kind == "sqlite":
        op.drop_index(op.f(old), table_name=table)
        make_index(new, table, known[old]["column_names"])
    elif kind == "postgresql":
        op.execute(f"ALTER INDEX {old} RENAME TO {new}")
    else:
        op.execute(f"ALTER TABLE {table} RENAME INDEX {old} TO {new}")


def add_column(table: str, column: Column[Any]) -> None:
    """Add a column, behind those that are there."""
    if not has_column(table, column.name):
        op.add_column(table, column)


def drop_column(table: str, name: str) -> None:
    """Drop a column with its values."""
    if has_column(table, name):
        op.drop_column(table, name)


def rename_column(table: str, old: str, new: str) -> None:
    """Rename a column; its values stay, and indexes follow."""
    if has_column(table, old):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def change_length(table: str, name: str, before: String, after: String) -> None:
    """Change the length of a text that is never null; SQLite makes the table anew."""
    columns = {one["name"]: one["type"] for one in look().get_columns(table)}
    if getattr(columns[name], "length", None) == after.length:
        return
    with op.batch_alter_table(table) as batch:
        batch.alter_column(name, type_=after, existing_type=before, existing_nullable=False)


def has_column(table: str, name: str) -> bool:
    """Tell whether a table is there and has a column."""
    return name in column_names(table)


def column_names(table: str) -> set[str]:
    """Return the names of the table's columns; none where there is no such table."""
    found = look()
    return {one["name"] for one in found.get_columns(table)} if found.has_table(table) else set()


def _stored_as(name: str, known: Iterable[str]) -> str:
    """Return the name as the database has it: PostgreSQL keeps 63 characters, some of a hash."""
    begins = name[: MOST_CHARACTERS - 8]
    found = [one for one in known if len(name) > MOST_CHARACTERS and one.startswith(begins)]
    return name if name in known else next(iter(found), name)


def _indexes(table: str) -> dict[str, Any]:
    return {str(one["name"]): one for one in look().get_indexes(table)}
