"""What is refused at the start on PostgreSQL, and what is only warned about."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, make_url, text

from kernel.config.settings import load
from kernel.db.dialects import postgresql_checks
from kernel.db.schema import migrate
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport
from tests.support.postgresql import PostgreSQL
from tests.support.two_users import NAME, on_postgresql

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def kernel(make_kernel: MakeKernel, postgresql_url: str) -> Kernel:
    return make_kernel(postgresql_url)


@pytest.fixture
def latin(postgresql: PostgreSQL) -> Iterator[str]:
    """URL of a database that holds the characters of Western Europe alone."""
    url = make_url(postgresql.create_database())
    latin = url.set(database="latin").render_as_string(hide_password=False)
    made = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
    postgresql.execute(f"CREATE DATABASE latin {made}")
    yield latin
    postgresql.drop(latin)
    postgresql.drop(url.render_as_string(hide_password=False))


def refused(kernel: Kernel) -> str:
    with pytest.raises(ConfigurationError) as caught:
        startup.check_database(kernel)
    return caught.value.message


def test_start_warns_when_a_commit_is_not_on_disk(kernel: Kernel) -> None:
    (warning,) = startup.check_database(kernel)  # the tests' own server
    assert "fsync is off" in warning


def test_start_is_refused_when_a_table_does_not_outlive_a_crash(kernel: Kernel) -> None:
    with kernel.write() as connection:
        connection.execute(text("ALTER TABLE project_tb_project SET UNLOGGED"))
    mend = refused(kernel).rpartition("Convert it: ")[2]
    with kernel.write() as connection:
        connection.execute(text(mend))
    assert len(startup.check_database(kernel)) == 1


@pytest.mark.parametrize(("schema", "is_refused"), [(None, False), ("beside", True)])
def test_unlogged_table_of_another_schema_matters_where_handlers_name_that(
    make_kernel: MakeKernel, postgresql_url: str, schema: str | None, is_refused: bool
) -> None:
    own = MetaData(schema=schema)
    tickets = Table("tickets", own, Column("id", Integer, primary_key=True))
    kernel = make_kernel(postgresql_url, Handlers(own))
    with kernel.write() as connection:
        connection.execute(text("CREATE SCHEMA beside"))
        connection.execute(text("CREATE UNLOGGED TABLE beside.tickets (id INT PRIMARY KEY)"))
        if schema is None:
            tickets.create(connection)
    if is_refused:
        assert refused(kernel).endswith("Convert it: ALTER TABLE beside.tickets SET LOGGED")
    else:
        assert len(startup.check_database(kernel)) == 1


def test_start_is_refused_when_the_database_cannot_hold_every_character(
    make_kernel: MakeKernel, latin: str
) -> None:
    kernel = make_kernel(latin)
    assert "LATIN1" in refused(kernel)
    kernel.close()


def test_start_is_refused_when_the_server_is_too_old(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_checks, "OLDEST", 990000)
    assert refused(kernel).endswith("is too old: 99 is needed")


def test_start_warns_when_the_server_does_not_say_whether_it_is_a_standby(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_checks, "REPORTED", ("in_hot_standby", "kept_back"))
    first, _ = startup.check_database(kernel)
    assert "does not report kept_back" in first


# ---- What the user may do ---------------------------------------------------------------------


@pytest.fixture
def service(postgresql: PostgreSQL) -> Iterator[Kernel]:
    """A kernel of the user of deploy/databases, migrated by the other one."""
    with on_postgresql(postgresql) as urls:
        migrate.upgrade(urls.migrate)
        settings = load(database_url=urls.service, result_backend="", api_processes=2)
        with closing(Kernel(settings, Handlers(), FakeTransport())) as kernel:
            yield kernel


def test_start_is_refused_when_ids_may_not_be_counted(
    service: Kernel, postgresql: PostgreSQL
) -> None:
    """`GRANT ... ON ALL TABLES` gives no right on the sequences of their ids."""
    before = startup.check_database(service)
    taken = f"REVOKE USAGE ON ALL SEQUENCES IN SCHEMA public FROM {NAME}"
    postgresql.execute(taken, database=NAME)
    said = refused(service)
    assert f"the database user {NAME} may not use the sequence kernel_" in said
    (line,) = re.findall("GRANT .*?(?=;)", said)
    postgresql.execute(line, database=NAME)
    assert startup.check_database(service) == before


@pytest.mark.parametrize(
    ("taken", "mend"),
    [
        (f"REVOKE USAGE ON SCHEMA public FROM {NAME}", f"GRANT USAGE ON SCHEMA public TO {NAME}"),
        (
            f"ALTER ROLE {NAME} SET search_path = elsewhere",
            f"ALTER ROLE {NAME} SET search_path = public",
        ),
    ],
)
def test_schema_that_is_not_looked_through_is_named(
    service: Kernel, postgresql: PostgreSQL, taken: str, mend: str
) -> None:
    """The server says of its tables what it says of tables that are nowhere."""
    before = startup.check_database(service)
    postgresql.execute(taken, database=NAME)
    service.close()
    assert f"{mend}. For another installation than that, run `kernel migrate`" in refused(service)
    postgresql.execute(mend, database=NAME)
    service.close()
    assert startup.check_database(service) == before


@pytest.mark.parametrize(
    ("taken", "whose"),
    [
        (f"ALTER ROLE {NAME} CONNECTION LIMIT 12", "user"),
        (f"ALTER DATABASE {NAME} CONNECTION LIMIT 12", "database"),
    ],
)
def test_start_warns_when_its_own_connections_are_limited(
    service: Kernel, postgresql: PostgreSQL, taken: str, whose: str
) -> None:
    before = startup.check_database(service)
    postgresql.execute(taken)
    *others, warning = startup.check_database(service)
    assert others == before
    assert f"the {whose}'s CONNECTION LIMIT is 12, and " in warning
