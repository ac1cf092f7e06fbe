"""Whether the tables that handlers write to are there as `Handlers(metadata)` names them.

What would fail with certainty at the first order is told at the start instead, each with the
statement that mends it: a table, a column or an index that is missing, and a column that holds
values of another kind. Widths, defaults and foreign keys are the migrations' affair.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    Date,
    DateTime,
    Dialect,
    Index,
    Inspector,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Time,
    TypeDecorator,
    UniqueConstraint,
    inspect,
)
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.schema import Column, CreateColumn, CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine

# What the values of a column are, by its type; those of other types are not compared.
KINDS: tuple[tuple[tuple[type[Any], ...], str], ...] = (
    ((Integer, Numeric), "numbers"),
    ((String,), "text"),
    ((DateTime, Date, Time), "times"),
)
# What every server that looks at types refuses: the first, put into a column of the second.
REFUSED = {
    *(("text", "numbers"), ("text", "times")),
    *(("numbers", "times"), ("times", "numbers")),
}


def flaws(
    connection: Connection, metadata: Iterable[MetaData], others: Collection[Table] = ()
) -> Iterator[str]:
    """Yield what is wrong with the tables of ``metadata`` in this database, and the mend of each.

    ``others``: tables that are not the handlers' to look after. Raises the database's errors.
    """
    inspector = inspect(connection)
    for table in (one for all_ in metadata for one in all_.sorted_tables):
        if not any(table is one for one in others):
            yield from _flaws(inspector, connection.dialect, table)


def _flaws(inspector: Inspector, dialect: Dialect, table: Table) -> Iterator[str]:
    key = (table.schema, table.name)
    named: Mapping[str, Any] = {"schema": table.schema, "filter_names": [table.name]}
    found = inspector.get_multi_columns(kind=ObjectKind.ANY, **named).get(key)
    if found is None:
        made = [CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=_name_of))]
        mend = "; ".join(_sql(dialect, one) for one in made)
        yield f"table {table} is missing, or this user may not see it: {mend}"
        return
    there = {one["name"].casefold(): one["type"] for one in found}
    for column in table.columns:
        if (flaw := _of_column(dialect, column, there)) is not None:
            yield flaw
    if key in inspector.get_multi_columns(kind=ObjectKind.TABLE, **named):  # a view has no indexes
        yield from _of_indexes(inspector, dialect, table)


def _of_column(
    dialect: Dialect, column: "Column[Any]", there: Mapping[str, TypeEngine[Any]]
) -> str | None:
    table, quote = column.table, dialect.identifier_preparer.quote
    if column.name.casefold() not in there:
        return (
            f"table {table} has no column {column.name}: ALTER TABLE {table} ADD COLUMN "
            f"{_sql(dialect, CreateColumn(column))}"
        )
    given, kept = _kind(dialect, column.type), _kind(dialect, there[column.name.casefold()])
    if dialect.name == "sqlite" or (given, kept) not in REFUSED:
        return None
    kind, name = column.type.compile(dialect=dialect), quote(column.name)
    changed = f"ALTER COLUMN {name} TYPE {kind} USING {name}::{kind}"
    change = changed if dialect.name == "postgresql" else f"MODIFY {name} {kind}"
    return (
        f"column {column.name} of table {table} holds {kept}, and handlers write {given}: "
        f"ALTER TABLE {table} {change}"
    )


def _of_indexes(inspector: Inspector, dialect: Dialect, table: Table) -> Iterator[str]:
    unique, any_, names = _indexes(inspector, table)
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint) and constraint.columns:
            columns = [one.name for one in constraint.columns]
            if _folded(columns) not in map(set, unique):
                yield _not_unique(dialect, table, columns)
    for index in sorted(table.indexes, key=_name_of):
        columns = [one.name for one in index.columns]
        plain = len(columns) == len(index.expressions) and not _is_partial(dialect, index)
        known = unique if index.unique else any_
        is_there = _name_of(index) in names
        if plain and not is_there:
            is_there = any(_serves(index, columns, one) for one in known)
        if not is_there:
            yield _missing(dialect, table, index)


def _serves(index: Index, columns: list[str], other: tuple[str, ...]) -> bool:
    """Tell whether an index on ``other`` does what one on ``columns`` would do."""
    if index.unique:
        return set(other) == _folded(columns)
    return list(other[: len(columns)]) == [one.casefold() for one in columns]


def _missing(dialect: Dialect, table: Table, index: Index) -> str:
    what = "a unique index" if index.unique else "an index"
    columns = ", ".join(one.name for one in index.columns)
    mend = _sql(dialect, CreateIndex(index))
    return f"table {table} lacks {what} on {columns or index.name}: {mend}"


def _not_unique(dialect: Dialect, table: Table, columns: list[str]) -> str:
    quote = dialect.identifier_preparer.quote
    name = quote(f"uq_{table.name}_{'_'.join(columns)}"[:60])
    named = ", ".join(map(quote, columns))
    return (
        f"table {table} lacks a unique index on {', '.join(columns)}: CREATE UNIQUE INDEX {name} "
        f"ON {dialect.identifier_preparer.format_table(table)} ({named})"
    )


def _indexes(
    inspector: Inspector, table: Table
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]], set[str]]:
    """Return the columns of what is unique, those of every index, and the names of all."""
    where = (table.name, table.schema)
    indexes = inspector.get_indexes(*where)
    key = tuple(inspector.get_pk_constraint(*where)["constrained_columns"])
    unique: list[Any] = [key, *(one["column_names"] for one in indexes if one["unique"])]
    unique += [one["column_names"] for one in inspector.get_unique_constraints(*where)]
    every = [*unique, *(one["column_names"] for one in indexes)]
    names = {str(one["name"]).casefold() for one in indexes}
    return _tuples(unique), _tuples(every), names


def _tuples(found: Iterable[Any]) -> list[tuple[str, ...]]:
    return [tuple(str(one).casefold() for one in columns) for columns in found]


def _folded(columns: Iterable[str]) -> set[str]:
    return {one.casefold() for one in columns}


def _name_of(index: Index) -> str:
    return str(index.name).casefold()


def _is_partial(dialect: Dialect, index: Index) -> bool:
    return index.dialect_options[dialect.name].get("where") is not None


def _kind(dialect: Dialect, type_: TypeEngine[Any]) -> str:
    while isinstance(type_, TypeDecorator):
        type_ = type_.load_dialect_impl(dialect)
    return next((kind for types, kind in KINDS if isinstance(type_, types)), "")


def _sql(dialect: Dialect, made: Any) -> str:
    """Return a statement in one line."""
    return " ".join(str(made.compile(dialect=dialect)).split())
