"""`guarded=True`: inside XA the server itself refuses what would end a run's transaction."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from kernel.builtin import projects
from kernel.db.dialects import mysql_driver
from kernel.db.tables.orders import RUN_MARKS
from kernel.errors import Reject, Retry
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, names, write
from tests.support.lossy_proxy import LossyProxy
from tests.support.servers import MariaDB

MakeKernel = Callable[..., Kernel]

PROCEDURES = (
    "CREATE PROCEDURE commits() COMMIT",
    "CREATE PROCEDURE rolls_back() ROLLBACK",
    "CREATE PROCEDURE writes_on() BEGIN COMMIT;"
    " INSERT INTO project_tb_project (projname, prodesc, projctime) VALUES ('on', '', NOW()); END",
    "CREATE PROCEDURE harmless() SELECT 1",
)
ENDERS = [
    "EXECUTE IMMEDIATE 'CREATE TABLE sneaky (id INT)'",
    "EXECUTE IMMEDIATE 'COMMIT'",
    "CALL commits()",
    "CALL rolls_back()",
    "CALL writes_on()",
    "SET STATEMENT max_statement_time = 5 FOR COMMIT",
]
HARMLESS = ["CALL harmless()", "DO 1", "SET @a = 1", "CREATE TEMPORARY TABLE passing (id INT)"]


@pytest.fixture
def url(mariadb_own_url: str, make_kernel: MakeKernel) -> str:
    kernel = make_kernel(mariadb_own_url)
    with kernel.write() as connection:
        for statement in PROCEDURES:
            connection.exec_driver_sql(statement)
    return mariadb_own_url


def prepare(make_kernel: MakeKernel, url: str, work: Callable[[Run], Any]) -> tuple[Kernel, str]:
    """Make a guarded handler that writes a row and works; return the kernel and an order's id."""
    registry = Handlers()

    @registry.register("do", Named, guarded=True)
    def do(run: Run, args: Named) -> Any:
        write(run, f"of run {run.number}")
        return work(run) or {}

    kernel = make_kernel(url, registry)
    return kernel, make_order(kernel, select_tag="do", args="{}")


def run_one(make_kernel: MakeKernel, url: str, work: Callable[[Run], Any]) -> tuple[Kernel, Any]:
    kernel, order_id = prepare(make_kernel, url, work)
    execute(kernel, order_id)
    return kernel, order(kernel, order_id)


def written(kernel: Kernel) -> list[str]:
    with kernel.read_session() as session:
        return names(session)


def say(statement: str, *, swallowed: bool = False) -> Callable[[Run], None]:
    def work(run: Run) -> None:
        try:
            run.session.connection().exec_driver_sql(statement)
        except SQLAlchemyError:
            if not swallowed:
                raise

    return work


@pytest.mark.parametrize("swallowed", [True, False])
@pytest.mark.parametrize("statement", ENDERS)
def test_order_fails_and_nothing_is_stored_when_a_statement_would_end_its_transaction(
    make_kernel: MakeKernel, url: str, statement: str, swallowed: bool
) -> None:
    kernel, ended = run_one(make_kernel, url, say(statement, swallowed=swallowed))
    assert (ended.state, ended.error_code, ended.run) == ("failed", "internal_error", 1)
    assert written(kernel) == []
    with kernel.read() as connection:
        assert connection.scalar(select(func.count()).select_from(RUN_MARKS)) == 0


@pytest.mark.parametrize("statement", HARMLESS)
def test_statement_that_ends_nothing_goes_through_without_a_savepoint(
    make_kernel: MakeKernel, url: str, statement: str
) -> None:
    def work(run: Run) -> None:
        said.append(savepoints(run))
        say(statement)(run)
        said.append(savepoints(run))

    said: list[Any] = []
    kernel, ended = run_one(make_kernel, url, work)
    assert (ended.state, written(kernel)) == ("success", ["of run 1"])
    assert said[0] == said[1]


def savepoints(run: Run) -> Any:
    """How often SAVEPOINT was said on the run's connection."""
    asked = "SELECT variable_value FROM information_schema.session_status WHERE variable_name = "
    return run.session.scalar(text(asked + "'COM_SAVEPOINT'"))


def save_twice(run: Run) -> None:
    run.checkpoint(1, 2, state="one")
    write(run, "second")
    run.checkpoint(2, 2, state="two")
    write(run, "third")


def test_guarded_run_commits_its_checkpoints_and_its_outcome(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel, ended = run_one(make_kernel, database_url, save_twice)
    assert (ended.state, ended.checkpoint) == ("success", 2)
    assert written(kernel) == ["of run 1", "second", "third"]


def test_savepoint_undoes_its_own_writes_in_a_guarded_run(
    make_kernel: MakeKernel, database_url: str
) -> None:
    def work(run: Run) -> None:
        with suppress(IntegrityError), run.savepoint():
            write(run, "undone")
            for name in "ab":
                values = {"projname": name, "prodesc": "", "projctime": run.now}
                run.session.execute(projects.insert().values(id=9, **values))
        with run.savepoint():
            write(run, "kept")

    kernel, ended = run_one(make_kernel, database_url, work)
    assert (ended.state, written(kernel)) == ("success", ["of run 1", "kept"])


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(Reject("no", "no"), "failed"), (Retry(after=60), "pending"), (ValueError(), "failed")],
    ids=["reject", "retry", "bug"],
)
def test_guarded_run_is_undone_and_the_next_order_runs(
    make_kernel: MakeKernel, database_url: str, verdict: Exception, state: str
) -> None:
    def work(run: Run) -> None:
        if run.order_id == first:
            run.checkpoint(1, 2)
            write(run, "undone")
            raise verdict

    kernel, first = prepare(make_kernel, database_url, work)
    second = make_order(kernel, select_tag="do", args="{}")
    list(execute_each(kernel, [first, second]))
    assert (order(kernel, first).state, order(kernel, second).state) == (state, "success")
    assert written(kernel) == ["of run 1", "of run 1"]


@pytest.mark.parametrize("save", [True, False])
def test_work_is_done_once_when_the_answer_to_xa_commit_is_lost(
    make_kernel: MakeKernel, mariadb: MariaDB, mariadb_rows_url: str, save: bool
) -> None:
    with LossyProxy(mariadb.port) as proxy:

        def lose(run: Run) -> None:
            proxy.lose = b"XA COMMIT" if run.number == 1 else None
            if save:
                run.checkpoint(1, 2)

        url = mariadb_rows_url.replace(str(mariadb.port), str(proxy.port))
        kernel, order_id = prepare(make_kernel, url, lose)
        execute(kernel, order_id)
        kernel.clock.shift(60)
        execute(kernel, order_id)
        assert (proxy.lost, order(kernel, order_id).state) == (1, "success")
        assert written(kernel) == (["of run 1", "of run 2"] if save else ["of run 1"])


def test_driver_cannot_commit_below_sqlalchemy(make_kernel: MakeKernel, url: str) -> None:
    def work(run: Run) -> None:
        run.session.connection().connection.commit()

    kernel, ended = run_one(make_kernel, url, work)
    assert (ended.error_code, written(kernel)) == ("internal_error", [])


def test_success_is_not_told_when_the_driver_has_rolled_back(
    make_kernel: MakeKernel, url: str
) -> None:
    def work(run: Run) -> None:
        run.session.connection().connection.rollback()
        write(run, "after")

    kernel, ended = run_one(make_kernel, url, work)
    assert (ended.error_code, written(kernel)) == ("internal_error", [])


def test_order_runs_again_when_a_guarded_run_loses_a_lock(
    make_kernel: MakeKernel, url: str
) -> None:
    """Its transaction is left to the server as one that can only be rolled back."""
    rival = make_kernel(url)
    with rival.write() as connection:
        values = {"projname": "held", "prodesc": "", "projctime": rival.clock.now()}
        connection.execute(projects.insert().values(**values))

    def work(run: Run) -> None:
        wait = "SET STATEMENT innodb_lock_wait_timeout = 0 FOR"
        with suppress(DBAPIError):
            run.session.execute(text(f"{wait} UPDATE project_tb_project SET prodesc = 'mine'"))

    kernel, order_id = prepare(make_kernel, url, work)
    with rival.write() as connection:
        connection.exec_driver_sql("SELECT * FROM project_tb_project FOR UPDATE")
        execute(kernel, order_id)
    left = order(kernel, order_id)
    assert (left.state, left.broken, written(kernel)) == ("pending", 1, ["held"])


@pytest.mark.parametrize("said", ["XA END", "XA COMMIT", "INSERT INTO project"])
def test_nothing_is_left_behind_when_its_process_is_killed(
    make_kernel: MakeKernel, mariadb: MariaDB, url: str, said: str
) -> None:
    """Killed with -9 before each step of the commit: what was not committed is not prepared."""
    kernel, order_id = prepare(make_kernel, url, lambda run: None)
    kernel.close()
    child = os.fork()
    if child == 0:
        die_before(said)
        try:
            execute(kernel, order_id)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert mariadb.execute("XA RECOVER") == ()
    assert (order(kernel, order_id).state, written(kernel)) == ("running", [])


def die_before(said: str) -> None:
    """Kill this process when it is about to send a statement that begins so."""
    query = mysql_driver.XaConnection.query

    def dying(self: Any, sql: Any, unbuffered: bool = False) -> Any:
        text_ = sql.decode() if isinstance(sql, bytes) else sql
        if text_.startswith(said):
            os.kill(os.getpid(), signal.SIGKILL)
        return query(self, sql, unbuffered)

    mysql_driver.XaConnection.query = dying  # type: ignore[method-assign]
