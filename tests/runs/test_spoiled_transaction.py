"""On PostgreSQL an error spoils a transaction, and COMMIT answers ROLLBACK without an error."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError

from kernel.db.guard import SPOILED
from kernel.db.tables.orders import ORDERS
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.runs.test_transaction_ended import MakeKernel, count, run_one, say
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, write

FAILING = "SELECT 1 / (projname = 'of')::int FROM project_tb_project"
# Each ends the transaction for a server that is told it, or runs a second statement.
ENDING = [
    "COMMIT",
    "COMMIT AND CHAIN",
    "ROLLBACK AND CHAIN",
    "ABORT AND CHAIN",
    "END",
    "PREPARE TRANSACTION 'one'",
    "/* /* */ SELECT */ COMMIT AND CHAIN",
    "/*! SELECT */ COMMIT AND CHAIN",
    "/* /* */ SAVEPOINT */ ROLLBACK AND CHAIN",
    r"SELECT 'a\'; COMMIT AND CHAIN; --'",
    "; COMMIT AND CHAIN",
    "SELECT $$ it's $$; COMMIT AND CHAIN",
    "DO $$ BEGIN COMMIT; END $$",
    "DO $a$ BEGIN EXECUTE 'COMMIT'; END $a$",
    "CALL commits()",
]
HARMLESS = [
    "DO $$ BEGIN PERFORM 1; END $$",
    "SET LOCAL work_mem = '8MB'",
    "CREATE TEMPORARY TABLE passing (id INT)",
    "SELECT $$COMMIT; it's a text$$",
    r"SELECT 'a\', E'it\'s', ';' -- COMMIT",
    "SELECT /* /* COMMIT */ ; */ 1",
]


@pytest.fixture
def url(postgresql_url: str, make_kernel: MakeKernel) -> str:
    kernel = make_kernel(postgresql_url)
    with kernel.write() as connection:
        connection.exec_driver_sql(
            "CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$"
        )
    return postgresql_url


@pytest.mark.parametrize("swallowed", [True, False])
@pytest.mark.parametrize("statement", ENDING)
def test_nothing_is_stored_when_a_statement_would_end_the_transaction(
    make_kernel: MakeKernel, url: str, statement: str, swallowed: bool
) -> None:
    kernel, ended = run_one(make_kernel, url, say(statement, swallowed=swallowed))
    if ended.state == "success":  # it was refused before it was sent, so all of the work is there
        assert (swallowed, count(kernel)) == (True, 1)
    else:
        assert (ended.state, ended.error_code, ended.run) == ("failed", "internal_error", 1)
        assert count(kernel) == 0


@pytest.mark.parametrize("statement", HARMLESS)
def test_order_succeeds_when_a_statement_is_harmless(
    make_kernel: MakeKernel, url: str, statement: str
) -> None:
    kernel, ended = run_one(make_kernel, url, say(statement, swallowed=False))
    assert (ended.state, count(kernel)) == ("success", 1)


def test_commit_in_disguise_is_noticed_when_its_words_were_not(
    make_kernel: MakeKernel, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel.db.dialects.postgresql.PostgreSQL.nests_comments", False)
    statement = "/* /* */ SELECT */ COMMIT AND CHAIN"
    _, ended = run_one(make_kernel, url, say(statement, swallowed=True))
    assert (ended.state, ended.error_code, ended.run) == ("failed", "internal_error", 1)


@pytest.mark.parametrize("then", [None, "SELECT 1"])
def test_order_fails_when_its_handler_swallows_an_error(
    make_kernel: MakeKernel, url: str, then: str | None
) -> None:
    def meanwhile(run: Run) -> None:
        say(FAILING, swallowed=True)(run)
        if then is not None:
            say(then, swallowed=True)(run)

    kernel, ended = run_one(make_kernel, url, meanwhile)
    assert (ended.state, ended.error_code, ended.run) == ("failed", "internal_error", 1)
    assert count(kernel) == 0


def test_order_succeeds_when_its_handler_goes_back_to_a_savepoint(
    make_kernel: MakeKernel, url: str
) -> None:
    def meanwhile(run: Run) -> None:
        try:
            with run.savepoint():
                run.session.execute(text(FAILING))
        except SQLAlchemyError:
            write(run, "and this")

    kernel, ended = run_one(make_kernel, url, meanwhile)
    assert (ended.state, count(kernel)) == ("success", 2)


def test_checkpoint_stores_nothing_when_the_transaction_is_spoiled(
    make_kernel: MakeKernel, url: str
) -> None:
    def meanwhile(run: Run) -> None:
        say(FAILING, swallowed=True)(run)
        try:
            run.checkpoint(1, 2)
        except SQLAlchemyError:
            return

    kernel, ended = run_one(make_kernel, url, meanwhile)
    assert (ended.state, ended.checkpoint, count(kernel)) == ("failed", 0, 0)


def test_commit_is_refused_when_the_kernels_own_transaction_is_spoiled(
    make_kernel: MakeKernel, url: str
) -> None:
    kernel: Kernel = make_kernel(url)
    make_order(kernel)

    def spoil() -> None:
        with kernel.write() as connection:
            connection.execute(ORDERS.update().values(run=7))
            with pytest.raises(SQLAlchemyError):
                connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(InvalidRequestError, match=SPOILED[:40]):
        spoil()


def driver(run: Run) -> Any:
    return run.session.connection().connection.dbapi_connection


@pytest.mark.parametrize(
    ("break_", "word"),
    [
        (lambda run: driver(run).close(), "closed"),
        (lambda run: driver(run).execute("SELECT pg_terminate_backend(pg_backend_pid())"), ""),
    ],
    ids=["closed", "terminated"],
)
def test_run_is_tried_again_when_its_connection_is_lost(
    make_kernel: MakeKernel, url: str, break_: Callable[[Run], object], word: str
) -> None:
    def meanwhile(run: Run) -> None:
        try:
            break_(run)
        except psycopg.Error:
            run.session.execute(text("SELECT 1"))

    kernel, ended = run_one(make_kernel, url, meanwhile)
    assert (ended.state, count(kernel)) == ("pending", 0)


def test_order_succeeds_in_its_next_run_when_its_table_was_changed_meanwhile(
    make_kernel: MakeKernel, url: str
) -> None:
    registry = Handlers()

    @registry.register("look", Named)
    def look(run: Run, args: Named) -> dict[str, Any]:
        run.session.execute(text("SELECT * FROM theirs")).all()
        return {}

    kernel = make_kernel(url, registry)
    with kernel.write() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (id INT)")
    ids = [make_order(kernel, select_tag="look", args="{}") for _ in range(2)]
    execute(kernel, ids[0])
    with kernel.write() as connection:
        connection.exec_driver_sql("ALTER TABLE theirs ADD COLUMN more INT")
    execute(kernel, ids[1])
    assert (order(kernel, ids[1]).state, order(kernel, ids[1]).broken > 0) == ("pending", True)
    kernel.clock.shift(60)
    execute(kernel, ids[1])
    assert order(kernel, ids[1]).state == "success"
