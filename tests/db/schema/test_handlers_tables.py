"""The tables that handlers write to are as they say, or the start is refused with the mend."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import (
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from kernel.builtin import projects
from kernel.config.settings import load
from kernel.db.columns import Base
from kernel.db.schema import migrate
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.runtime.kernel import Kernel
from kernel.runtime.startup import check_database


def described() -> MetaData:
    """The tables of some handlers."""
    metadata = MetaData()
    Table(
        "sites",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(50), nullable=False, unique=True),
        Column("country", String(2)),
        Column("opened_at", DateTime),
        Column("closed_at", DateTime),
        UniqueConstraint("country", "name"),
        Index("ix_sites_opened", "opened_at", "country"),
    )
    return metadata


@pytest.fixture
def metadata() -> MetaData:
    """The tables of the handlers."""
    return described()


@pytest.fixture
def kernel(new_database_url: str, metadata: MetaData) -> Iterator[Kernel]:
    """A kernel on a migrated database that has these tables."""
    migrate.upgrade(new_database_url)
    made = Kernel(load(database_url=new_database_url), Handlers(metadata))
    metadata.create_all(made.engine)
    yield made
    made.close()


def refusal(kernel: Kernel) -> str:
    """What the start is refused with."""
    with pytest.raises(ConfigurationError) as refused:
        check_database(kernel)
    return refused.value.message


def execute(kernel: Kernel, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    for one in statements:
        with kernel.write() as connection:
            connection.execute(text(one))


def mended(kernel: Kernel, said: str) -> None:
    """Type what the refusal says, and start."""
    for line in said.splitlines()[1:]:
        execute(kernel, *line.partition(": ")[2].split("; "))
    check_database(kernel)


def test_start_is_allowed_when_the_tables_are_as_described(kernel: Kernel) -> None:
    check_database(kernel)


def test_missing_table_is_told_with_the_statement_that_makes_it(
    kernel: Kernel, metadata: MetaData
) -> None:
    metadata.drop_all(kernel.engine)
    said = refusal(kernel)
    assert "table sites is missing" in said
    assert "CREATE TABLE sites ( id " in said
    assert "CREATE INDEX ix_sites_opened ON sites (opened_at, country)" in said
    mended(kernel, said)


def test_missing_column_is_told_with_the_statement_that_adds_it(
    kernel: Kernel, metadata: MetaData
) -> None:
    metadata.tables["sites"].append_column(Column("city", String(50)))
    said = refusal(kernel)
    assert "no column city: ALTER TABLE sites ADD COLUMN city VARCHAR(50)" in said
    mended(kernel, said)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda table: Index("ix_when", table.c.closed_at),
            "lacks an index on closed_at: CREATE INDEX ix_when ON sites (closed_at)",
        ),
        (
            lambda table: table.append_constraint(UniqueConstraint(table.c.opened_at)),
            "lacks a unique index on opened_at: CREATE UNIQUE INDEX uq_sites_opened_at ON sites",
        ),
        (
            lambda table: Index("ix_both", table.c.country, table.c.opened_at, unique=True),
            "lacks a unique index on country, opened_at: CREATE UNIQUE INDEX ix_both ON sites",
        ),
    ],
)
def test_missing_index_is_told_with_the_statement_that_makes_it(
    kernel: Kernel, metadata: MetaData, make: Callable[[Table], object], said: str
) -> None:
    make(metadata.tables["sites"])
    refused = refusal(kernel)
    assert said in refused
    mended(kernel, refused)


def test_index_is_there_when_another_does_the_same(kernel: Kernel, metadata: MetaData) -> None:
    Index("ix_country", metadata.tables["sites"].c.country)  # the unique one begins with it
    Index("ix_named_otherwise", metadata.tables["sites"].c.opened_at)
    check_database(kernel)


def test_column_that_holds_something_else_is_told_where_the_server_looks_at_types(
    kernel: Kernel,
) -> None:
    with kernel.write() as connection:
        connection.execute(text("DROP TABLE sites"))
    changed = MetaData()
    sites = described().tables["sites"].to_metadata(changed)
    sites.c.country.type = Integer()
    sites.c.closed_at.type = String(20)
    changed.create_all(kernel.engine)
    if kernel.dialect.file_of(kernel.engine.url) is not None:  # SQLite takes anything
        check_database(kernel)
        return
    said = refusal(kernel)
    assert "column country of table sites holds numbers, and handlers write text: ALTER" in said
    assert "closed_at" not in said  # a time can be written as text
    mended(kernel, said)


def test_tables_of_kernel_and_views_are_no_tables_to_look_at(
    kernel: Kernel, metadata: MetaData
) -> None:
    with kernel.write() as connection:
        connection.execute(text("CREATE VIEW open_sites AS SELECT id, name FROM sites"))
    Table(
        "open_sites", metadata, Column("id", Integer, primary_key=True), Column("name", String(5))
    )
    check_database(kernel)
    with_projects = Kernel(kernel.settings, Handlers(Base.metadata))
    with with_projects.write() as connection:
        connection.execute(text(f"DROP TABLE {projects.name}"))
    check_database(with_projects)
    with_projects.close()
