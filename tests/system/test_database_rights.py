"""deploy/databases: the whole service works with these rights, and with no more of them."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from kernel.builtin import CreateProject, create_project
from kernel.config.settings import load
from kernel.db.columns import Base
from kernel.db.engine import make_engine
from kernel.db.schema import migrate
from kernel.errors import ConfigurationError
from kernel.handlers import Handlers
from kernel.orders.submit import submit
from kernel.runtime import startup
from kernel.runtime.kernel import Kernel
from kernel.testing import FakeTransport, drain
from tests.support.factories import ANYBODY, order, request
from tests.support.queries.filled import copy_rows, filled_mariadb
from tests.support.queries.statements import HAPPENINGS, give_handlers
from tests.support.servers import MariaDB, Redis
from tests.support.stack import Stack
from tests.support.two_users import NAME, TwoUsers, append_only, on_mariadb, on_postgresql
from tests.support.waiting import wait_until

ON = {"mariadb": on_mariadb, "postgresql": on_postgresql}
# Nothing of this is what a service does. A driver's table is there as soon as it is migrated.
FORBIDDEN = {
    "any": (
        "CREATE TABLE mine (id INTEGER)",
        "DROP TABLE kernel_orders",
        "ALTER TABLE kernel_orders ADD COLUMN mine INTEGER",
        "CREATE INDEX mine ON kernel_orders (run)",
        "TRUNCATE TABLE kernel_pauses",
        "CREATE DATABASE mine",
        "DELETE FROM kernel_acts",
        "UPDATE kernel_acts SET actor = 'another'",
        "DELETE FROM kernel_act_seals",
        "UPDATE kernel_act_seals SET id = 99",
    ),
    "mariadb": (
        "SELECT * FROM mysql.global_priv",
        "SELECT 1 INTO OUTFILE '/tmp/mine'",
        "CREATE USER mine",
        "GRANT SELECT ON rights.* TO kernel_migrate@'%'",
        "SET GLOBAL max_connections = 1",
        "CREATE TRIGGER mine BEFORE DELETE ON kernel_orders FOR EACH ROW SET @mine = 1",
    ),
    "postgresql": (
        "CREATE ROLE mine",
        "SET ROLE kernel_migrate",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id INTEGER)",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY kernel_orders TO PROGRAM 'cat'",
    ),
}


@pytest.fixture(scope="module")
def filled(mariadb: MariaDB) -> Iterator[Kernel]:
    """A kernel on a few thousand rows, to be copied."""
    with filled_mariadb(mariadb) as kernel:
        yield kernel


@pytest.fixture(scope="module", params=ON)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def made(kind: str, request: pytest.FixtureRequest) -> Iterator[TwoUsers]:
    """The two users, and their database."""
    with ON[kind](request.getfixturevalue(kind)) as urls:
        yield urls


@pytest.fixture
def users(made: TwoUsers, kind: str, request: pytest.FixtureRequest) -> TwoUsers:
    """The two users, and their database, which the second has migrated, with acts append-only."""
    migrate.upgrade(made.migrate)
    append_only(kind, request.getfixturevalue(kind))
    return made


@pytest.fixture
def service(users: TwoUsers) -> Iterator[Kernel]:
    """A kernel with the rights of the service."""
    settings = load(database_url=users.service, result_backend="")
    with closing(Kernel(settings, Handlers(), FakeTransport())) as kernel:
        yield kernel


@contextmanager
def using(stack: Stack, url: str) -> Iterator[None]:
    """Start the stack's processes with another user of its database."""
    before = stack.settings["database_url"]
    stack.settings["database_url"] = url
    try:
        yield
    finally:
        stack.settings["database_url"] = before


def test_orders_go_their_way_with_api_worker_and_dispatcher(
    users: TwoUsers, redis: Redis, tmp_path: Path
) -> None:
    with Stack(tmp_path, users.owner, redis) as stack, using(stack, users.service):
        stack.worker()
        stack.start("dispatcher", "kernel", "dispatcher")
        stack.api()
        imported = stack.submit("import_projects", projects=[{"projname": "a"}] * 30)
        assert stack.callback(imported)
        assert stack.finished(imported)["state"] == "success"
        migrating = stack.start("migrate", "kernel", "migrate")
        wait_until(lambda: migrating.returncode is not None)
        assert migrating.returncode == 0, "nothing is left to migrate"
        assert "denied" not in stack.log()


@pytest.mark.parametrize(
    ("right", "table"), [("UPDATE", "kernel_orders"), ("INSERT", "kernel_acts")]
)
def test_start_is_refused_with_the_line_to_type_when_a_right_is_missing(
    kind: str, users: TwoUsers, service: Kernel, right: str, table: str
) -> None:
    before = startup.check_database(service)
    owner = make_engine(users.owner, autocommit=True)
    with closing(owner.connect()) as connection:
        for statement in taken_away(kind, right, table):
            connection.execute(text(statement))
        service.engine.dispose()
        with pytest.raises(ConfigurationError, match=f"may not {right} {table}") as caught:
            startup.check_database(service)
        (line,) = re.findall("GRANT .*?(?=, in the)", caught.value.message)
        connection.execute(text(line))
    owner.dispose()
    service.engine.dispose()
    assert startup.check_database(service) == before


def taken_away(kind: str, right: str, table: str) -> list[str]:
    """The statements that take a right on one table from the service's user."""
    if kind == "postgresql":
        return [f"REVOKE {right} ON {table} FROM {NAME}"]
    if right == "UPDATE":  # the file gives it table by table
        return [f"REVOKE {right} ON {NAME}.{table} FROM {NAME}@'%'"]
    return [f"REVOKE {right} ON {NAME}.* FROM {NAME}@'%'", *on_all_but(table)]


def on_all_but(table: str) -> list[str]:
    """The statements that give MariaDB's user INSERT on the other tables, one by one."""
    others = sorted(Base.metadata.tables.keys() - {table})
    return [f"GRANT INSERT ON {NAME}.{one} TO {NAME}@'%'" for one in others]


def test_run_of_a_guarded_handler_is_allowed(service: Kernel) -> None:
    service.handlers.register("create_project", CreateProject, guarded=True)(create_project)
    startup.check_database(service)
    order_id = submit(service, ANYBODY, request()).order_id
    drain(service)
    assert order(service, order_id).state == "success"


def test_connection_of_a_dead_run_is_ended_by_another_of_the_same_user(service: Kernel) -> None:
    with service.engine.connect() as dead, service.engine.connect() as rescuing:
        number = service.dialect.connection_number(dead)
        assert number is not None
        service.dialect.kill_connection(rescuing, number)
        with pytest.raises(DBAPIError):
            dead.execute(text("SELECT 1"))


def test_service_may_do_nothing_else(users: TwoUsers, kind: str) -> None:
    engine = make_engine(users.service, autocommit=True)
    try:
        for statement in (*FORBIDDEN["any"], *FORBIDDEN[kind]):
            with engine.connect() as connection, pytest.raises(DBAPIError, match=r"denied|must be"):
                connection.execute(text(statement))
    finally:
        engine.dispose()


def test_migrations_go_back_and_forth_with_the_rights_of_their_user(users: TwoUsers) -> None:
    migrate.downgrade(users.migrate, "base")
    migrate.upgrade(users.migrate)
    migrate.check(users.migrate)
    with pytest.raises(DBAPIError):
        migrate.downgrade(users.service, "base")


def test_all_that_a_service_asks_is_allowed(
    users: TwoUsers, service: Kernel, filled: Kernel
) -> None:
    """Everything of `tests.support.queries`, which `test_plans` holds to be all there is."""
    target = make_engine(users.migrate)
    copy_rows(filled.engines.running, target)
    target.dispose()
    give_handlers(service)
    startup.check_database(service)
    for happening in HAPPENINGS:
        happening(service)
