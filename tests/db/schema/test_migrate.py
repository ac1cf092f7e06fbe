"""Migrations go up, down and up again, and say what the models say. On both databases."""

from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from kernel.config.settings import load
from kernel.db.schema import migrate
from kernel.db.schema.version import SCHEMA
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel

VERSIONS = Path(__file__).resolve().parents[3] / "migrations" / "versions"


def kernel_on(url: str) -> Kernel:
    """A kernel for a database that may have no tables."""
    return Kernel(load(database_url=url), Handlers())


def tables(url: str) -> set[str]:
    """The names of the tables there are."""
    kernel = kernel_on(url)
    try:
        return set(inspect(kernel.engine).get_table_names())
    finally:
        kernel.close()


def test_database_is_the_models_when_it_was_taken_up_down_and_up(new_database_url: str) -> None:
    migrate.upgrade(new_database_url)
    made = tables(new_database_url)
    migrate.downgrade(new_database_url, "base")
    assert tables(new_database_url) <= {"kernel_alembic_version", "project_tb_project"}
    migrate.upgrade(new_database_url)
    assert tables(new_database_url) == made
    migrate.check(new_database_url)


def test_step_back_that_was_interrupted_is_taken_again(new_database_url: str) -> None:
    migrate.upgrade(new_database_url)
    migrate.downgrade(new_database_url, "0016")
    kernel = kernel_on(new_database_url)
    with kernel.engine.begin() as connection:  # and its number was not written
        connection.execute(text("ALTER TABLE kernel_orders DROP COLUMN secret_args"))
    kernel.close()
    migrate.downgrade(new_database_url, "0015")
    migrate.upgrade(new_database_url)
    migrate.check(new_database_url)


def test_migrations_are_one_row_and_each_number_is_given_once() -> None:
    """Two branches may have taken the same number: then one of the two would never be applied."""
    files = sorted(VERSIONS.glob("[0-9]*.py"))
    numbers = [one.name[:4] for one in files]
    assert numbers == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert numbers[-1] == SCHEMA
    for number, before, file in zip(numbers, ["None", *numbers], files, strict=False):
        said = file.read_text().replace('"', "")
        assert f"\nrevision = {number}\ndown_revision = {before}\n" in said, file.name


def test_newest_migration_is_the_one_the_code_needs_when_applied(new_database_url: str) -> None:
    migrate.upgrade(new_database_url)
    assert migrate.current(new_database_url) == SCHEMA


@pytest.mark.parametrize("revision", [None, "0001"])
def test_start_is_refused_when_the_database_is_behind(
    new_database_url: str, revision: str | None
) -> None:
    if revision is not None:
        migrate.upgrade(new_database_url, revision)
    kernel = kernel_on(new_database_url)
    with pytest.raises(ConfigurationError, match="kernel migrate"):
        kernel.check_schema()
    kernel.close()


def test_start_is_refused_when_another_application_has_migrated(new_database_url: str) -> None:
    kernel = kernel_on(new_database_url)
    with kernel.write_session() as session:
        session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        session.execute(text("INSERT INTO alembic_version VALUES ('9999')"))
    assert migrate.current(new_database_url) is None
    with pytest.raises(ConfigurationError, match=r"none .* `kernel migrate`"):
        kernel.check_schema()
    kernel.close()


def test_start_is_accepted_when_the_database_is_ahead(new_database_url: str) -> None:
    migrate.upgrade(new_database_url)
    kernel = kernel_on(new_database_url)
    with kernel.write_session() as session:
        session.execute(text("UPDATE kernel_alembic_version SET version_num = '9999'"))
    kernel.check_schema()
    kernel.close()


def test_projects_are_kept_when_the_original_made_their_table(mariadb_url: str) -> None:
    kernel = kernel_on(mariadb_url)
    with kernel.engine.connect() as connection:
        connection.execute(
            text(
                "CREATE TABLE project_tb_project (id INT PRIMARY KEY AUTO_INCREMENT,"
                " projname VARCHAR(255), prodesc TEXT, projctime DATETIME)"
            )
        )
        connection.execute(text("INSERT INTO project_tb_project (projname) VALUES ('old')"))
        connection.commit()
    migrate.upgrade(mariadb_url)
    migrate.downgrade(mariadb_url, "base")
    with kernel.read_session() as session:
        assert session.scalar(text("SELECT projname FROM project_tb_project")) == "old"
    kernel.close()


def test_tables_are_utf8mb4_and_innodb_when_made(mariadb_url: str) -> None:
    migrate.upgrade(mariadb_url)
    kernel = kernel_on(mariadb_url)
    query = (
        "SELECT engine, table_collation FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name <> 'kernel_alembic_version'"
    )
    with kernel.read_session() as session:
        assert set(session.execute(text(query)).all()) == {("InnoDB", "utf8mb4_bin")}
    kernel.close()
