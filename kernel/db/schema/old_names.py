"""An installation from before the tables were called `kernel_...`: its tables get their new names.

Migration 0001 renames, where it would make tables otherwise; 0005 takes kernel's number out of
`alembic_version`, which may be the application's own. Between the two stands the table `MARK`:
as long as it is there, what 0001 has begun is gone on with, and the number there is kernel's.

Only migrations import this file, as `kernel.db.schema.steps`.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from alembic import op
from sqlalchemy import Table, text

from kernel.config.settings import load
from kernel.db.schema.steps import column_names, drop_table, look, rename_index
from kernel.errors import ConfigurationError

MARK = "kernel_renaming"
PREFIX = "kernel_"
OLD_VERSIONS = "alembic_version"
# 0003 made it, so an installation may be without it.
MINUTES = {"began_at", "accepted", "finished", "attempts", "delivered", "took"}
# A process that was silent for three sweeps is gone, and for less than this it is not asked.
SWEEPS, LATELY = 3, timedelta(minutes=1)


def rename_tables(first: Iterable[Table]) -> None:
    """Rename the tables of an installation with old names, their indexes and constraints.

    ``first``: the tables of the first migration. They are kernel's when all of them are there
    under their old names, with all of their columns: an application may have a table `orders`.
    Does nothing otherwise, nor on PostgreSQL, where kernel has never had them. Raises
    ConfigurationError, having changed nothing, when a process of the installation was seen lately
    (unless forced), or when there are new tables as well.
    """
    if op.get_bind().dialect.name == "postgresql":
        return
    columns = {table.name: {one.name for one in table.columns} for table in first}
    begun = look().has_table(MARK)
    if not begun:
        if not all(_is_old(name, known) for name, known in columns.items()):
            return
        _refuse_two(columns)
    columns["kernel_minutes"] = MINUTES
    there = set(look().get_table_names())
    old = [name for name, known in columns.items() if _is_old(name, known) and name not in there]
    if "kernel_workers" in old:
        _refuse_while_one_lives()
    if not begun:
        op.execute(f"CREATE TABLE {MARK} (id INTEGER PRIMARY KEY)")
    sqlite = op.get_bind().dialect.name == "sqlite"
    _rename_in_sqlite(old) if sqlite else _rename_in_mysql(old)
    for name in filter(look().has_table, columns):
        _rename_constraints_in_sqlite(name) if sqlite else _rename_keys_in_mysql(name)


def forget_old_version() -> None:
    """Take kernel's number out of the old table of versions; drop that when no other is in it."""
    if not look().has_table(MARK):
        return
    if "version_num" in column_names(OLD_VERSIONS):
        ours = "version_num IN ('0001', '0002', '0003', '0004')"
        op.execute(f"DELETE FROM {OLD_VERSIONS} WHERE {ours}")  # noqa: S608  # nosec B608
        left = text(f"SELECT COUNT(*) FROM {OLD_VERSIONS}")  # noqa: S608  # nosec B608
        if not op.get_bind().scalar(left):
            drop_table(OLD_VERSIONS)
    drop_table(MARK)


def _is_old(name: str, columns: set[str]) -> bool:
    """Tell whether the table stands under its old name: more columns are the operator's."""
    return columns <= column_names(name.removeprefix(PREFIX))


def _refuse_two(names: Iterable[str]) -> None:
    both = sorted(set(names) & set(look().get_table_names()))
    if both:
        old = both[0].removeprefix(PREFIX)
        raise ConfigurationError(
            f"the database has kernel's table {old} and a table {both[0]} as well: drop those "
            "that you do not need, or restore into an empty database; then run `kernel migrate`"
        )


def _refuse_while_one_lives() -> None:
    """Refuse while a process relies on the old names; `kernel migrate --force` does not ask."""
    config = op.get_context().config
    if config is not None and config.attributes.get("force"):
        return
    sqlite = op.get_bind().dialect.name == "sqlite"
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if sqlite else "UTC_TIMESTAMP(6)"
    last = "seen_at, kind, pid, host FROM workers ORDER BY seen_at DESC LIMIT 1"
    found = op.get_bind().execute(text(f"SELECT {now}, {last}")).first()
    if found is None:
        return
    silent = _moment(found[0]) - _moment(found.seen_at)
    if silent < max(LATELY, timedelta(seconds=SWEEPS * load().sweep_seconds)):
        raise ConfigurationError(
            f"{found.kind} {found.pid} on {found.host} was seen {silent.total_seconds():.0f} s ago "
            "and cannot go on while tables are renamed: stop API, workers and dispatchers, then "
            "run `kernel migrate` again; if they are stopped already, `kernel migrate --force`"
        )


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC)


def _rename_in_mysql(names: list[str]) -> None:
    """Rename the tables in one statement; foreign keys that lead to them follow."""
    if names:
        pairs = (f"{name.removeprefix(PREFIX)} TO {name}" for name in names)
        op.execute(f"RENAME TABLE {', '.join(pairs)}")


def _rename_keys_in_mysql(table: str) -> None:
    for name, new in _renamed(table, (one["name"] for one in look().get_indexes(table))):
        rename_index(table, name, new)
    keys = {str(one["name"]): one for one in look().get_foreign_keys(table)}
    for name, new in _renamed(table, keys):
        columns = ", ".join(keys[name]["constrained_columns"])
        target = ", ".join(keys[name]["referred_columns"])
        # Every row kept the same key until now: without looking at them it takes no time.
        op.execute("SET SESSION foreign_key_checks = 0")
        op.execute(
            f"ALTER TABLE {table} DROP FOREIGN KEY {name}, ADD CONSTRAINT {new} "
            f"FOREIGN KEY ({columns}) REFERENCES {keys[name]['referred_table']} ({target})"
        )
        op.execute("SET SESSION foreign_key_checks = 1")


def _renamed(table: str, names: Iterable[str | None]) -> Iterator[tuple[str, str]]:
    """Give the names of indexes and constraints that hold the table's old name, old and new."""
    old = _named_after(table)
    for name in sorted(filter(None, names)):
        if old.fullmatch(name):
            yield name, old.sub(_NEW, name)


def _named_after(table: str) -> re.Pattern[str]:
    return re.compile(rf"\b(ix|uq|fk|pk)_({table.removeprefix(PREFIX)}(_\w+)?)\b")


_NEW = rf"\1_{PREFIX}\2"


def _rename_in_sqlite(names: list[str]) -> None:
    """Rename the tables; SQLite has what refers to them follow."""
    for name in names:
        op.execute(f"ALTER TABLE {name.removeprefix(PREFIX)} RENAME TO {name}")


def _rename_constraints_in_sqlite(table: str) -> None:
    """Make the table anew from its own text with other names in it, and its indexes.

    SQLite cannot rename a constraint. The steps are those of its manual ("Making Other Kinds Of
    Table Schema Changes"); they are in one transaction, with foreign keys off.
    """
    made = text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL")
    found = op.get_bind().execute(made, {"name": table}).all()
    old = _named_after(table)
    (create,) = (sql for kind, sql in found if kind == "table")
    if not any(old.search(sql) for _, sql in found):
        return
    columns = old.sub(_NEW, create[create.index("(") :])
    op.execute(text(f"CREATE TABLE {table}_new {columns}".replace(":", r"\:")))
    op.execute(f"INSERT INTO {table}_new SELECT * FROM {table}")  # noqa: S608 - ours  # nosec B608
    op.execute(f"DROP TABLE {table}")
    # What refers to the table by its name is right already, so it is not to be touched.
    op.execute("PRAGMA legacy_alter_table = ON")
    op.execute(f"ALTER TABLE {table}_new RENAME TO {table}")
    op.execute("PRAGMA legacy_alter_table = OFF")
    for kind, sql in found:
        if kind != "table":
            op.execute(text(old.sub(_NEW, sql).replace(":", r"\:")))
