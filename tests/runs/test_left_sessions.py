"""What a handler changes in its session of the database ends with its run: no other order finds it.

Temporary tables, variables, locks of the session, the schema in use: they belong to a connection,
which a pool gives to the next order.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError

from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, names, write
from tests.support.together import DONE, Message
from tests.support.waiting import wait_until

MakeKernel = Callable[..., Kernel]

# What the handler says, by the kind of database; after it, no order could be claimed or ended.
UNFIT = {
    "sqlite": ["PRAGMA query_only = ON"],
    "mysql": ["SET SESSION TRANSACTION READ ONLY", "USE information_schema"],
    "postgresql": [
        "SET search_path TO pg_catalog",
        "SELECT set_config('search_path', 'pg_catalog', false)",
        "SET default_transaction_read_only = on",
    ],
}
TABLE = {
    kind: f"CREATE {word} TABLE IF NOT EXISTS kept (n INTEGER)"
    for kind, word in (("sqlite", "TEMP"), ("mysql", "TEMPORARY"), ("postgresql", "TEMP"))
}


def kind_of(url: str) -> str:
    """The kind of database, as SQLAlchemy calls it."""
    return make_url(url).get_backend_name()


def saying(statements: list[str]) -> Handlers:
    """A registry with a handler that says these for an order named ``bad``, and one that writes."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        for statement in statements if args.name == "bad" else ():
            with suppress(SQLAlchemyError):
                run.session.execute(text(statement))
        if args.name != "bad":
            write(run, args.name)
        return {}

    return registry


def counting(kind: str) -> Handlers:
    """A registry whose handler keeps a row in a temporary table, and tells how many are there."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        run.session.execute(text(TABLE[kind]))
        run.session.execute(text("INSERT INTO kept VALUES (1)"))
        return {"found": run.session.scalar(text("SELECT COUNT(*) FROM kept"))}

    return registry


@pytest.mark.parametrize("in_one_message", [True, False])
def test_order_is_run_after_one_that_has_made_its_connection_unfit(
    make_kernel: MakeKernel, database_url: str, in_one_message: bool
) -> None:
    for statement in UNFIT[kind_of(database_url)]:
        kernel = make_kernel(database_url, saying([statement]))
        ids = [
            make_order(kernel, select_tag="do", args=f'{{"name": "{name}"}}')
            for name in ("bad", statement, "more")
        ]
        if in_one_message:
            ends = list(execute_each(kernel, ids))
            assert [end.order_id for end in ends] == ids
        else:
            for order_id in ids:
                execute(kernel, order_id)
        found = [order(kernel, order_id) for order_id in ids[1:]]
        assert [(one.state, one.run) for one in found] == [("success", 1)] * 2
        with kernel.read_session() as session:
            assert {statement, "more"} <= set(names(session))


def test_order_finds_no_temporary_table_of_another(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel = make_kernel(database_url, counting(kind_of(database_url)))
    ids = [make_order(kernel, select_tag="do", args="{}") for _ in range(3)]
    list(execute_each(kernel, ids[:2]))
    execute(kernel, ids[2])
    assert {order(kernel, order_id).result for order_id in ids} == {'{"found":1}'}


@pytest.mark.parametrize("statement", ["SET @n = 5", "SELECT @n := 5", "DO @n := 5"])
def test_order_finds_no_variable_of_another(
    make_kernel: MakeKernel, mariadb_rows_url: str, statement: str
) -> None:
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        found = run.session.connection().exec_driver_sql("SELECT @n").scalar()
        run.session.connection().exec_driver_sql(statement)
        return {"found": found}

    kernel = make_kernel(mariadb_rows_url, registry)
    for _ in range(2):
        order_id = make_order(kernel, select_tag="do", args="{}")
        execute(kernel, order_id)
        assert order(kernel, order_id).result == '{"found":null}'


def test_lock_of_a_session_is_free_after_the_run(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    is_mysql = kind_of(main_rows_url) == "mysql"
    lock = "SELECT GET_LOCK('kept', 0)" if is_mysql else "SELECT pg_advisory_lock(7)"
    free = "SELECT IS_FREE_LOCK('kept')" if is_mysql else "SELECT pg_try_advisory_xact_lock(7)"
    kernel = make_kernel(main_rows_url, saying([lock]))
    order_id = make_order(kernel, select_tag="do", args='{"name": "bad"}')
    execute(kernel, order_id)
    assert order(kernel, order_id).state == "success"
    with kernel.read() as connection:
        wait_until(lambda: bool(connection.scalar(text(free))))


def test_short_orders_find_no_temporary_table_of_each_other(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """On MariaDB such a statement is refused to them."""
    kind = kind_of(database_url)
    if kind == "mysql":
        pytest.skip("refused there: see tests/runs/test_together_rules.py")
    message = Message(make_kernel, database_url, count=3)

    def keep(run: Run) -> dict[str, Any]:
        run.session.execute(text(TABLE[kind].replace("IF NOT EXISTS ", "")))
        return {}

    message.does = {"0": keep, "1": keep}
    message.execute()
    message.execute()
    assert message.states[0] == DONE
    assert [state for state, _ in message.states] == ["success"] * 3
    assert message.counted == 0


def test_short_orders_go_on_in_their_first_run_when_each_changes_its_session(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kinds = {"sqlite": "PRAGMA foreign_keys", "mysql": "SELECT @a := 1"}
    statement = kinds.get(kind_of(database_url), "SET application_name = 'a'")
    registry = Handlers()

    @registry.register("do", Named, together=True)
    def do(run: Run, args: Named) -> dict[str, Any]:
        run.session.execute(text(statement.replace(":=", r"\:=")))
        write(run, args.name)
        return {}

    kernel = make_kernel(database_url, registry)
    ids = [make_order(kernel, select_tag="do", args="{}") for _ in range(8)]
    list(execute_each(kernel, ids))
    found = [order(kernel, order_id) for order_id in ids]
    assert [(one.state, one.run) for one in found] == [("success", 1)] * 8


def test_short_order_finds_nothing_that_its_neighbour_has_set_for_the_transaction(
    make_kernel: MakeKernel, postgresql_rows_url: str
) -> None:
    registry = Handlers()

    @registry.register("do", Named, together=True)
    def do(run: Run, args: Named) -> dict[str, Any]:
        if args.name == "bad":
            run.session.execute(text("SELECT set_config('a.b', 'kept', true)"))
            run.session.execute(text("SET LOCAL a.c = 'kept'"))
        asked = text("SELECT current_setting('a.b', true), current_setting('a.c', true)")
        return {"found": list(run.session.execute(asked).one())}

    kernel = make_kernel(postgresql_rows_url, registry)
    names = ("bad", "other", "other")
    ids = [make_order(kernel, select_tag="do", args=f'{{"name": "{name}"}}') for name in names]
    list(execute_each(kernel, ids))
    found = [str(order(kernel, order_id).result) for order_id in ids]
    assert ["kept" in one for one in found] == [True, False, False]
