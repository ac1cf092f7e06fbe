"""What stands in no list takes the safe side: errors, verbs and functions that nobody foresaw."""

import threading
from collections.abc import Callable
from typing import Any

import pymysql
import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError

from kernel.builtin import projects
from kernel.db.dialects import mysql
from kernel.errors import RunBroken
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from tests.support.clients import ORDER, client
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, write

MakeKernel = Callable[..., Kernel]

# Numbers of the server that no list has, one of a storage engine, and ones of no server.
UNLISTED = (1206, 1467, 4999, 20_001, 65_000)
TRIGGER = (
    "CREATE TRIGGER refuses BEFORE INSERT ON {table} FOR EACH ROW"
    " SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'odd'"
)


@pytest.fixture
def url(mariadb_own_url: str, make_kernel: MakeKernel) -> str:
    kernel = make_kernel(mariadb_own_url)
    with kernel.write() as connection:
        connection.exec_driver_sql("CREATE TABLE odd (id INT)")
    return mariadb_own_url


def say(kernel: Kernel, *statements: str) -> None:
    with kernel.write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def count(kernel: Kernel) -> int:
    with kernel.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(projects)) or 0)


def run_one(make_kernel: MakeKernel, url: str, work: Callable[[Run], object]) -> tuple[Kernel, Any]:
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        work(run)
        return {}

    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    return kernel, order(kernel, order_id)


def odd(run: Run) -> None:
    write(run, "before")
    run.session.execute(text("INSERT INTO odd VALUES (1)"))


@pytest.mark.parametrize("state", ["45000", "HY000", "40001"])
@pytest.mark.parametrize("number", UNLISTED)
def test_order_fails_at_once_when_its_error_stands_in_no_list(
    make_kernel: MakeKernel, url: str, number: int, state: str
) -> None:
    say(make_kernel(url), TRIGGER.format(table="odd", state=state, number=number))
    kernel, ended = run_one(make_kernel, url, odd)
    assert (ended.state, ended.error_code, ended.run) == ("failed", "internal_error", 1)
    assert count(kernel) == 0


@pytest.mark.parametrize("number", UNLISTED)
def test_work_is_kept_when_an_error_that_no_list_has_cost_nothing(
    make_kernel: MakeKernel, url: str, number: int
) -> None:
    say(make_kernel(url), TRIGGER.format(table="odd", state="45000", number=number))

    def swallow(run: Run) -> None:
        with pytest.raises(DBAPIError):
            odd(run)

    kernel, ended = run_one(make_kernel, url, swallow)
    assert (ended.state, count(kernel)) == ("success", 1)


@pytest.mark.parametrize("number", UNLISTED)
@pytest.mark.parametrize("more", [{}, {"ordering_key": "project-1"}, {"reference": "INC1"}])
def test_submit_is_asked_to_come_again_when_its_error_stands_in_no_list(
    make_kernel: MakeKernel, url: str, number: int, more: dict[str, str]
) -> None:
    kernel = make_kernel(url)
    say(kernel, TRIGGER.format(table="kernel_orders", state="45000", number=number))
    http = client(kernel)
    body = {**ORDER, **more}
    refused = http.post("/v1/orders", json=body, headers={"Idempotency-Key": "k"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert refused.json["data"]["code"] == "unavailable"
    say(kernel, "DROP TRIGGER refuses")
    accepted = http.post("/v1/orders", json=body, headers={"Idempotency-Key": "k"})
    assert accepted.status_code == 202, accepted.text


def test_submit_is_our_bug_when_the_error_blames_its_statement(
    make_kernel: MakeKernel, url: str
) -> None:
    kernel = make_kernel(url)
    say(kernel, TRIGGER.format(table="kernel_orders", state="22001", number=1406))
    refused = client(kernel).post("/v1/orders", json=ORDER)
    say(kernel, "DROP TRIGGER refuses")
    assert (refused.status_code, refused.json["data"]["code"]) == (500, "internal_error")


def checkpoint(run: Run) -> None:
    run.checkpoint(1, 2)


def child(run: Run) -> None:
    run.submit("do")


def step(run: Run) -> None:
    run.step("one", lambda: 1)


OURS = {
    "checkpoint": (
        checkpoint,
        "BEFORE UPDATE ON kernel_orders",
        "NEW.checkpoint <> OLD.checkpoint",
    ),
    "child": (child, "BEFORE INSERT ON kernel_orders", "NEW.gates IS NOT NULL"),
    "step": (step, "BEFORE INSERT ON kernel_steps", "TRUE"),
    "outcome": (lambda run: None, "BEFORE UPDATE ON kernel_orders", "NEW.state = 'success'"),
    "callback": (lambda run: None, "BEFORE INSERT ON kernel_deliveries", "TRUE"),
}


@pytest.mark.parametrize("number", UNLISTED)
@pytest.mark.parametrize("which", OURS)
def test_order_runs_again_when_a_statement_of_kernels_own_is_refused_by_no_listed_error(
    make_kernel: MakeKernel, url: str, which: str, number: int
) -> None:
    work, when, only = OURS[which]
    refuse = f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'odd'"
    told = f"CREATE TRIGGER refuses {when} FOR EACH ROW IF {only} THEN {refuse}; END IF"
    say(make_kernel(url), told)

    def do(run: Run) -> None:
        write(run, "before")
        if run.select_tag == "do" and not run.gates:
            work(run)

    kernel, left = run_one(make_kernel, url, do)
    assert (left.state, left.broken > 0, count(kernel)) == ("pending", True, 0)
    say(kernel, "DROP TRIGGER refuses", "UPDATE kernel_orders SET run_after = created_at")
    execute(kernel, left.id)
    assert (order(kernel, left.id).state, count(kernel)) == ("success", 1)


@pytest.mark.parametrize("number", UNLISTED)
def test_short_orders_run_again_when_their_callbacks_are_refused_by_no_listed_error(
    make_kernel: MakeKernel, url: str, number: int
) -> None:
    registry = Handlers()

    @registry.register("do", Named, together=True)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, "before")
        return {}

    kernel = make_kernel(url, registry)
    say(kernel, TRIGGER.format(table="kernel_deliveries", state="45000", number=number))
    ids = [make_order(kernel, select_tag="do", args="{}") for _ in range(3)]
    list(execute_each(kernel, ids))
    assert ({order(kernel, one).state for one in ids}, count(kernel)) == ({"pending"}, 0)


ASKED: dict[str, tuple[Callable[[Run], object], str]] = {
    "count": (lambda run: len(run.children), "kernel_gates.parent_id"),
    "children": (lambda run: list(run.children), "kernel_gates.parent_id"),
    "submit": (lambda run: run.submit("do", callback_url="receiver:desk"), "kernel_callers"),
    "link": (lambda run: run.link("approved"), "kernel_service_keys"),
}


@pytest.mark.parametrize("error", [(20_001, "odd"), (2013, "lost"), (1040, "too many")])
@pytest.mark.parametrize("which", ASKED)
def test_order_runs_again_when_what_kernel_asks_for_it_is_refused(
    make_kernel: MakeKernel, url: str, which: str, error: tuple[int, str]
) -> None:
    ask, about = ASKED[which]

    def refuse(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if about in statement:
            raise pymysql.err.OperationalError(*error)

    def work(run: Run) -> None:
        child(run)
        run.checkpoint(1, 2)
        for engine in {*kernel.engines[1:]} - {kernel.engines.running}:
            event.listen(engine, "before_cursor_execute", refuse)
        with pytest.raises(RunBroken):
            ask(run)

    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        work(run)
        return {}

    kernel = make_kernel(url, registry, public_url="https://kernel.example")
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    assert order(kernel, order_id).state == "pending"


MARKS = "(SELECT COUNT(*) FROM kernel_run_marks)"


@pytest.mark.parametrize(
    "statement",
    [
        f"SET @seen = {MARKS}",
        f"DO @seen := {MARKS}",
        f"EXECUTE IMMEDIATE 'SET @seen = {MARKS}'",
        f"SET STATEMENT max_statement_time = 5 FOR SELECT COUNT(*) INTO @seen FROM {MARKS} AS m",
    ],
)
def test_statement_of_no_listed_verb_is_marked_while_it_is_run(
    make_kernel: MakeKernel, url: str, statement: str
) -> None:
    seen = []

    def look(run: Run) -> None:
        run.session.connection().exec_driver_sql(statement)
        seen.append(run.session.scalar(text("SELECT @seen")))
        seen.append(run.session.scalar(text(f"SELECT {MARKS}")))

    _, ended = run_one(make_kernel, url, look)
    assert (ended.state, seen) == ("success", [1, 0])


FUNCTION = (
    "CREATE FUNCTION touch(wanted INT) RETURNS INT BEGIN"
    " UPDATE project_tb_project SET prodesc = 'y' WHERE id = wanted; RETURN 1; END"
)


@pytest.mark.parametrize("call", ["SELECT touch({})", "SELECT `touch` /* now */ ({})"])
def test_loss_is_noticed_when_a_function_wrote_all_that_was_lost(
    make_kernel: MakeKernel, url: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A deadlock, and an empty list: the handler says SELECT alone, and swallows the error."""
    monkeypatch.setattr(mysql, "PASSING", frozenset())
    rival = make_kernel(url)
    row = {"projname": "row", "prodesc": "", "projctime": rival.clock.now()}
    with rival.write() as connection:
        connection.execute(projects.insert(), [row] * 60)
    say(rival, FUNCTION)
    held, swallowed = threading.Event(), []

    def be_heavier() -> None:
        change = "UPDATE project_tb_project SET prodesc = 'x' WHERE id {} 1"
        with rival.write() as connection:
            connection.exec_driver_sql(change.format(">"))
            held.set()
            connection.exec_driver_sql(change.format("="))

    def work(run: Run) -> None:
        run.session.execute(text(call.format(1)))
        thread = threading.Thread(target=be_heavier)
        thread.start()
        held.wait(10)
        try:
            run.session.execute(text(call.format(5)))
        except DBAPIError:
            swallowed.append(True)
        thread.join()

    _, ended = run_one(make_kernel, url, work)
    assert swallowed == [True]
    assert ended.state == "pending", "success over work that the server had dropped"
