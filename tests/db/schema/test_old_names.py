"""An installation whose tables have their old names gets new ones, and what is not ours stays."""

import re
from typing import Any

import pytest
from sqlalchemy import inspect, text

from kernel.builtin import projects
from kernel.db.columns import Base
from kernel.db.schema import migrate
from kernel.db.schema.version import SCHEMA
from kernel.errors import ConfigurationError
from tests.support import old_installation as old
from tests.support.guards import ALL_DATABASES
from tests.support.interrupted import Interrupted

NEW = {name.removeprefix("kernel_"): name for name in Base.metadata.tables}
OURS, THEIRS = "0004", "5f2c0b1d9a77"


def query(url: str, *statements: str) -> None:
    """Run statements as an application would."""
    with old.connected(url) as connection:
        for statement in statements:
            connection.execute(text(statement))


def tables(url: str) -> set[str]:
    """The names of the tables there are."""
    with old.connected(url) as connection:
        return set(inspect(connection).get_table_names())


def names(url: str) -> dict[str, set[str]]:
    """The names of kernel's indexes and constraints by table. SQLite tells no name of some."""
    with old.connected(url) as connection:
        look = inspect(connection)
        return {
            table: {
                str(one["name"])
                for found in (look.get_indexes(table), look.get_foreign_keys(table))
                for one in [*found, *look.get_unique_constraints(table)]
            }
            for table in NEW.values()
        }


def expected_names() -> dict[str, set[str]]:
    """The names that the models give; a primary key has none in MariaDB."""
    return {
        name: {str(one.name) for one in [*table.constraints, *table.indexes]} - {f"pk_{name}"}
        for name, table in Base.metadata.tables.items()
    }


def is_as_the_models_say(url: str) -> None:
    """Nothing of kernel's has another name, and nothing is missing."""
    migrate.check(url)
    assert names(url) == expected_names()
    assert migrate.current(url) == SCHEMA
    left = {"kernel_renaming", *(name for name in NEW if name != projects.name)}
    assert not left - {"orders"} & tables(url)


def state(url: str) -> str:
    """What a migration changes, to see whether it has come further."""
    with old.connected(url) as connection:
        there = sorted(inspect(connection).get_table_names())
        made = (
            ["SELECT sql FROM sqlite_master"]
            if connection.dialect.name == "sqlite"
            else [f"SHOW CREATE TABLE {table}" for table in there]
        )
        versions = [f"SELECT * FROM {table}" for table in there if table.endswith("_version")]
        found = str([connection.execute(text(one)).all() for one in [*made, *versions]])
    return re.sub("AUTO_INCREMENT=[0-9]+", "", found)  # that counts what was rolled back, too


# After each statement in ./run nightly, which takes minutes; else after each fifth.
STEPS = [1, 7] if ALL_DATABASES else [5]


def kill_and_go_on(url: str, step: int) -> int:
    """Kill `kernel migrate` after every ``step`` of its statements until one run has ended.

    Each run goes on where the one before was killed: one statement later, or from the same place
    when nothing of it stayed, and then it is killed later. Returns how many were killed.
    """
    kills, after, seen = 0, step, state(url)
    with Interrupted(url) as migration:
        while migration.killed(after):
            kills += 1
            now = state(url)
            after, seen = (step if now != seen else after + step), now
    return kills


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_migrations_are_finished_when_each_run_was_killed(old_database_url: str, step: int) -> None:
    query(
        old_database_url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
        f"INSERT INTO alembic_version VALUES ('{OURS}')",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, seen_at INTEGER)",
        "INSERT INTO orders VALUES (1, 2)",
    )
    assert kill_and_go_on(old_database_url, step) >= 35 // step
    is_as_the_models_say(old_database_url)
    assert old.rows(old_database_url, "orders") == [{"id": 1, "seen_at": 2}]
    assert old.rows(old_database_url, "alembic_version") == [{"version_num": OURS}]
    assert len(old.rows(old_database_url, "kernel_signing_secrets")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_renaming_is_finished_when_each_run_was_killed(old_database_url: str, step: int) -> None:
    old.make(old_database_url)
    old.fill(old_database_url)
    before = {table: old.rows(old_database_url, table) for table in old.ROWS}
    query(
        old_database_url,
        f"INSERT INTO alembic_version VALUES ('{THEIRS}')",
        "CREATE TABLE invoices (id INTEGER PRIMARY KEY, caller_id INTEGER REFERENCES callers (id))",
        "INSERT INTO invoices VALUES (1, 7)",
    )
    assert kill_and_go_on(old_database_url, step) >= 20 // step
    is_as_the_models_say(old_database_url)
    assert after_renaming(old_database_url) == before
    assert old.rows(old_database_url, "alembic_version") == [{"version_num": THEIRS}]
    assert old.rows(old_database_url, "invoices") == [{"id": 1, "caller_id": 7}]
    with old.connected(old_database_url) as connection:
        (key,) = inspect(connection).get_foreign_keys("invoices")
    assert key["referred_table"] == "kernel_callers"


def after_renaming(url: str) -> dict[str, list[dict[str, Any]]]:
    """The rows under their old names, without the columns that are new."""
    return as_before({table: old.rows(url, NEW[table]) for table in old.ROWS})


NEW_NAMES = (
    "runner",
    "reference",
    "is_original",
    "not_before",
    "not_after",
    "gates",
    "secret_args",
)


def as_before(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Take the new columns out of rows; they hold nothing yet."""
    for row in found["deliveries"]:
        row["late"] = row.pop("is_retry")
        assert [row.pop(name) for name in ("died_of", "shapes_until")] == [None, None]
    for row in found["attempts"]:
        assert row.pop("judged") is None
    for row in found["api_keys"]:
        assert row.pop("person_id") is None
    for row in found["pauses"]:
        names = ("reason", "receiver_id", "tag", "orders_of", "until", "by_whom", "why")
        assert [row.pop(name) for name in names] == [None] * len(names)
    # The caller's headers are a draft of a receiver now, and its pause was there.
    found["callers"][1]["headers"] = old.ROWS["callers"][1]["headers"]
    for row in found["callers"]:
        assert [row.pop(name) for name in ("is_listed", "has_receivers")] == [0, 0]
    for row in found["api_keys"]:
        assert [row.pop(name) for name in ("tags", "networks")] == [None, None]
    for row in found["orders"]:
        assert [row.pop(name) for name in ("broken", "timeouts", "retries")] == [0, 0, 0]
        assert row.pop("priority") == 0
        assert [row.pop(name) for name in NEW_NAMES] == [None] * len(NEW_NAMES)
    for row in found["workers"]:
        new = ("version", "pool", "runs", "quiet", "asked", "asked_at", "whereabouts")
        assert [row.pop(name) for name in new] == [None] * len(new)
    for row in found["sweeps"]:
        assert [row.pop(name) for name in ("unbroken_since", "unbroken_until")] == [None, None]
    return found


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004"])
def test_rows_are_kept_and_old_versions_are_gone_when_an_installation_is_renamed(
    old_database_url: str, revision: str
) -> None:
    old.make(old_database_url, revision)
    old.fill(old_database_url)
    known = tables(old_database_url) & set(old.ROWS)
    before = {table: old.rows(old_database_url, table) for table in known}
    migrate.upgrade(old_database_url)
    is_as_the_models_say(old_database_url)
    assert "alembic_version" not in tables(old_database_url)
    found = {table: old.rows(old_database_url, NEW[table]) for table in known}
    for row in found["deliveries"]:
        row["late"] = row.pop("is_retry")
    # The caller's headers are a draft of a receiver now.
    found["callers"][1]["headers"] = before["callers"][1]["headers"]
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in found[table]]
        assert kept == rows, table


def test_renamed_installation_goes_down_and_up_again(old_database_url: str) -> None:
    old.make(old_database_url)
    migrate.upgrade(old_database_url)
    migrate.downgrade(old_database_url, "base")
    assert tables(old_database_url) <= {"kernel_alembic_version", projects.name}
    migrate.upgrade(old_database_url)
    is_as_the_models_say(old_database_url)


def test_tables_of_an_application_do_not_pass_for_ours_when_one_column_is_missing(
    old_database_url: str,
) -> None:
    old.make(old_database_url)
    query(old_database_url, "ALTER TABLE process_metrics DROP COLUMN series")
    there = tables(old_database_url)
    migrate.upgrade(old_database_url)
    assert there <= tables(old_database_url)
    assert old.rows(old_database_url, "alembic_version") == [{"version_num": OURS}]
    assert migrate.current(old_database_url) == SCHEMA


def test_renaming_is_refused_when_new_tables_are_there_too(old_database_url: str) -> None:
    old.make(old_database_url)
    query(old_database_url, "CREATE TABLE kernel_orders (id INTEGER)")
    with pytest.raises(ConfigurationError, match="orders and a table kernel_orders as well"):
        migrate.upgrade(old_database_url)
    assert "kernel_callers" not in tables(old_database_url)


def test_renaming_is_refused_when_a_process_was_seen_lately(old_database_url: str) -> None:
    old.make(old_database_url)
    old.fill(old_database_url)
    old.one_lives(old_database_url)
    there = tables(old_database_url)
    with pytest.raises(ConfigurationError) as refused:
        migrate.upgrade(old_database_url)
    assert re.match(
        r"worker 9 on h was seen \d s ago .*`kernel migrate --force`", str(refused.value)
    )
    assert tables(old_database_url) - {"kernel_alembic_version"} == there
    migrate.upgrade(old_database_url, force=True)
    is_as_the_models_say(old_database_url)
