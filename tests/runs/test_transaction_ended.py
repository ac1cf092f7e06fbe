"""Is the transaction still ours? Statements in disguise, and errors that no list has."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from kernel.builtin import projects
from kernel.db.dialects import mysql
from kernel.db.tables.orders import RUN_MARKS
from kernel.handlers import Handlers, Run
from kernel.orders.decide import Exit, Why
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from tests.support.clients import client
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, write

MakeKernel = Callable[..., Kernel]

PROCEDURES = (
    "CREATE PROCEDURE commits() COMMIT",
    "CREATE PROCEDURE writes_on() BEGIN COMMIT;"
    " INSERT INTO project_tb_project (projname, prodesc, projctime) VALUES ('on', '', NOW()); END",
    "CREATE PROCEDURE harmless() SELECT 1",
    "CREATE PROCEDURE rolls_back() ROLLBACK",
)
# They are refused before they are sent, however they are dressed.
REFUSED = [
    "-- comment\nCREATE TABLE sneaky (id INT)",
    "# comment\nALTER TABLE project_tb_project ADD COLUMN sneaky INT",
    "/*!50000 CREATE TABLE sneaky (id INT) */",
    "/*M!100100 CREATE TABLE sneaky (id INT) */",
    "CHECK TABLE project_tb_project",
    "COMMIT AND CHAIN",
    "BEGIN NOT ATOMIC COMMIT; END",
    "IF 1 THEN COMMIT; END IF",
    "CREATE TABLE project_tb_project (id INT)",
    "SET autocommit = 1",
    "SELECT 1; COMMIT",
]
# Only the server knows: they are found to have committed.
COMMITTED = [
    "EXECUTE IMMEDIATE 'CREATE TABLE sneaky (id INT)'",
    "EXECUTE IMMEDIATE 'CREATE TABLE project_tb_project (id INT)'",
    "CALL commits()",
    "CALL writes_on()",
    "SET STATEMENT max_statement_time = 5 FOR COMMIT",
]
HARMLESS = [
    "CALL harmless()",
    "DO 1",
    "SET @a = 1",
    "CREATE TEMPORARY TABLE passing (id INT)",
    "SHOW TABLES",
]


@pytest.fixture
def url(mariadb_own_url: str, make_kernel: MakeKernel) -> str:
    kernel = make_kernel(mariadb_own_url)
    with kernel.write() as connection:
        for statement in PROCEDURES:
            connection.exec_driver_sql(statement)
    return mariadb_own_url


def run_one(
    make_kernel: MakeKernel, url: str, meanwhile: Callable[[Run], object]
) -> tuple[Kernel, Any]:
    """Run an order that writes a row, and then does something; return its row."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, f"of run {run.number}")
        meanwhile(run)
        return {}

    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    return kernel, order(kernel, order_id)


def say(statement: str, *, swallowed: bool) -> Callable[[Run], object]:
    def meanwhile(run: Run) -> None:
        try:
            run.session.connection().exec_driver_sql(statement)
        except SQLAlchemyError:
            if not swallowed:
                raise

    return meanwhile


def count(kernel: Kernel, table: Any = projects) -> int:
    with kernel.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


@pytest.mark.parametrize("statement", REFUSED)
def test_statement_in_disguise_is_refused_before_it_is_sent(
    make_kernel: MakeKernel, url: str, statement: str
) -> None:
    kernel, ended = run_one(make_kernel, url, say(statement, swallowed=False))
    assert (ended.state, ended.error_code, ended.run) == ("failed", "internal_error", 1)
    assert count(kernel) == 0
    kernel, ended = run_one(make_kernel, url, say(statement, swallowed=True))
    assert (ended.state, count(kernel)) == ("success", 1), "its transaction was not touched"


@pytest.mark.parametrize("swallowed", [True, False])
@pytest.mark.parametrize("statement", COMMITTED)
def test_order_fails_as_partly_done_when_a_statement_has_ended_its_transaction(
    make_kernel: MakeKernel, url: str, statement: str, swallowed: bool
) -> None:
    kernel, ended = run_one(make_kernel, url, say(statement, swallowed=swallowed))
    assert (ended.state, ended.error_code, ended.run) == ("failed", "transaction_ended", 1)
    assert count(kernel) >= 1
    assert count(kernel, RUN_MARKS) == 0
    caller = client(kernel)
    with kernel.write() as connection:
        newest = "(SELECT MAX(id) FROM kernel_callers)"
        connection.exec_driver_sql(f"UPDATE kernel_orders SET caller_id = {newest}")
    answer = caller.get(f"/v1/orders/{ended.id}").json
    assert answer["data"]["error"]["partial"] is True


@pytest.mark.parametrize("statement", HARMLESS)
def test_statement_that_ends_nothing_costs_the_run_nothing(
    make_kernel: MakeKernel, url: str, statement: str
) -> None:
    kernel, ended = run_one(make_kernel, url, say(statement, swallowed=False))
    assert (ended.state, count(kernel), count(kernel, RUN_MARKS)) == ("success", 1, 0)


def test_order_is_run_again_when_its_connection_is_lost_around_a_watched_statement(
    make_kernel: MakeKernel, url: str
) -> None:
    """Lost after the statement and before the guard's RELEASE, of which no event tells."""
    rival = make_kernel(url)

    def meanwhile(run: Run) -> None:
        connection = run.session.connection()
        number = connection.scalar(text("SELECT CONNECTION_ID()"))

        def kill(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement == "DO 1":
                with rival.write() as other:
                    other.exec_driver_sql(f"KILL CONNECTION {number}")

        event.listen(connection.engine, "after_cursor_execute", kill, insert=True)
        say("DO 1", swallowed=True)(run)

    kernel, left = run_one(make_kernel, url, meanwhile)
    assert (left.state, count(kernel)) == ("pending", 0)


def test_order_is_a_bug_when_a_procedure_has_rolled_its_transaction_back(
    make_kernel: MakeKernel, url: str
) -> None:
    kernel, ended = run_one(make_kernel, url, say("CALL rolls_back()", swallowed=True))
    assert (ended.error_code, count(kernel), count(kernel, RUN_MARKS)) == ("internal_error", 0, 0)


def test_order_is_not_run_again_when_its_worker_died_after_the_statement(
    make_kernel: MakeKernel, url: str
) -> None:
    """What a kill -9 leaves between the statement and its record: a running row and a mark."""
    kernel = make_kernel(url)
    order_id = make_order(kernel, state="running", run=1)
    with kernel.write() as connection:
        connection.execute(RUN_MARKS.insert().values(order_id=order_id, run=1))
    leave(kernel, order_id, 1, Exit(Why.DIED))
    assert order(kernel, order_id).error_code == "transaction_ended"


def test_handler_that_begins_with_a_read_that_fails_goes_on(
    make_kernel: MakeKernel, url: str
) -> None:
    def read_first(run: Run, args: Named) -> dict[str, Any]:
        with pytest.raises(SQLAlchemyError):
            run.session.execute(text("SELECT * FROM nowhere"))
        assert run.session.scalar(text("SELECT 1")) == 1
        write(run, "after")
        return {}

    registry = Handlers()
    registry.register("do", Named)(read_first)
    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    assert (order(kernel, order_id).state, count(kernel)) == ("success", 1)


def test_error_that_no_list_has_is_noticed_when_it_cost_the_transaction(
    make_kernel: MakeKernel, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock, and an empty list: the handler swallows it, and the server is asked."""
    monkeypatch.setattr(mysql, "PASSING", frozenset())
    rival = make_kernel(url)
    held, tried = threading.Event(), threading.Event()
    with rival.write() as connection:
        for number in range(60):
            connection.execute(
                projects.insert().values(
                    projname=f"row {number}", prodesc="", projctime=rival.clock.now()
                )
            )

    def be_heavier() -> None:
        with rival.write() as connection:
            change = "UPDATE project_tb_project SET prodesc = 'x' WHERE projname {}"
            connection.exec_driver_sql(change.format("<> 'row 0'"))
            held.set()
            connection.exec_driver_sql(change.format("= 'row 0'"))
        tried.set()

    def meanwhile(run: Run) -> None:
        name = "UPDATE project_tb_project SET prodesc = 'y' WHERE projname = '{}'"
        first = "row 0"
        run.session.execute(text("SELECT * FROM project_tb_project WHERE id = 1 FOR UPDATE"))
        run.session.execute(text(name.format(first)))
        thread = threading.Thread(target=be_heavier)
        thread.start()
        held.wait(10)
        try:
            run.session.connection().exec_driver_sql(name.format("row 5"))
        except DBAPIError:
            swallowed.append(True)
        thread.join()

    swallowed: list[bool] = []
    _, ended = run_one(make_kernel, url, meanwhile)
    assert swallowed == [True]
    assert (ended.state, ended.broken) == ("pending", 1), "a deadlock counts for a quarter"
