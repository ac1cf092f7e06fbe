"""Copies what the target lacks. A copy that was killed goes on where it stopped.

Each page is one transaction at the target. What the target has of a page is compared with what the
source has, so a finished copy that is run again writes nothing.
"""

from typing import Any

from sqlalchemy import Engine, String, delete, insert, inspect, select
from sqlalchemy.exc import DBAPIError

from kernel.db.columns import Token
from kernel.db.copying.pages import Page, Progress, Row, Sides, count, named, pages
from kernel.db.dialects import Dialect, dialect_of
from kernel.db.engine import READ_ONLY
from kernel.db.errors import driver_error, is_passing
from kernel.db.tables.callers import ANONYMOUS, Caller, SigningSecret
from kernel.errors import ConfigurationError, Conflict

# Of the values in one page that the target cannot hold, as many are named.
NAMED = 10
# What the first migration writes into a new database, in the order in which it can be deleted.
SEEDED: tuple[Any, ...] = (SigningSecret.__table__, Caller.__table__)


def copy_rows(sides: Sides) -> int:
    """Insert what the target lacks; return how many rows.

    Raises ConfigurationError, having changed nothing, when the target has a row that the source
    has not, or another row by the same key; Conflict, which names table, key and column, for a
    value that the target cannot hold, having copied what comes before its page; and the databases'
    errors. Called again after any end, it goes on.
    """
    _forget_seeds(sides)
    there = sum(_check_target(sides, table) for table in sides.tables)
    if there:
        sides.told(f"{there} rows are at the target already")
    return sum(_copy_table(sides, table) for table in sides.tables)


def holds_rows(engine: Engine, tables: Any) -> bool:
    """Tell whether one of these tables is there and has rows that no migration has written."""
    there = set(inspect(engine).get_table_names())
    return any(
        count(engine, table) for table in tables if table.name in there and table not in SEEDED
    )


def _forget_seeds(sides: Sides) -> None:
    """Delete what the first migration wrote at the target, as long as nothing else is there.

    Its secret was drawn there. A target that has the source's is a copy, or the source by another
    address.
    """
    if holds_rows(sides.target, sides.tables) or _secrets(sides.target) == _secrets(sides.source):
        return
    with sides.target.begin() as connection:
        if connection.scalars(select(Caller.name)).all() == [ANONYMOUS]:
            for table in SEEDED:
                connection.execute(delete(table))


def _secrets(engine: Engine) -> list[str]:
    with engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        return list(connection.scalars(select(SigningSecret.secret)))


def _check_target(sides: Sides, table: Any) -> int:
    """Refuse a target with other rows; return how many rows of the source it has."""
    if not count(sides.target, table):
        return 0
    found = 0
    for page in pages(sides, table):
        if difference := page.difference():
            raise ConfigurationError(
                f"the target is no copy of this database: {difference}. Copy into an empty database"
            )
        found += len(page.there)
    return found


def _copy_table(sides: Sides, table: Any) -> int:
    dialect = dialect_of(sides.target.url)
    progress = Progress(sides.told, table.name, count(sides.source, table))
    done = written = 0
    for page in pages(sides, table):
        if lacking := page.lacking():
            _refuse_values(dialect, page, lacking)
            _write(sides.target, page, lacking)
        done += len(page.rows)
        written += len(lacking)
        progress.at(done)
    progress.at(done, last=True)
    with sides.target.begin() as connection:
        dialect.count_on(connection, table)
    return written


def _refuse_values(dialect: Dialect, page: Page, rows: list[Row]) -> None:
    found = [
        f"{named(page.table, page.key(row))} {column.name}: {reason}"
        for row in rows
        for column, value in zip(page.table.c, row, strict=True)
        if isinstance(value, str) and (reason := dialect.cannot_hold(value, _length(column)))
    ]
    if found:
        more = f", and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise Conflict(f"the target cannot hold {'; '.join(found[:NAMED])}{more}")


def _length(column: Any) -> int | None:
    return column.type.length if isinstance(column.type, String | Token) else None


def _write(target: Engine, page: Page, rows: list[Row]) -> None:
    values = [dict(zip(page.table.c.keys(), row, strict=True)) for row in rows]
    try:
        with target.begin() as connection:
            connection.execute(insert(page.table), values)
    except DBAPIError as error:
        if is_passing(error):
            raise
        _name_the_refused(target, page, rows)
        raise


def _name_the_refused(target: Engine, page: Page, rows: list[Row]) -> None:
    """Insert the rows of a page that was refused one by one, say which one it is; keep none."""
    with target.connect() as connection:
        for row in rows:
            values = dict(zip(page.table.c.keys(), row, strict=True))
            try:
                connection.execute(insert(page.table).values(values))
            except DBAPIError as error:
                name = named(page.table, page.key(row))
                raise Conflict(f"the target refuses {name}: {driver_error(error)}") from error
