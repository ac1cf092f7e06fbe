"""A handler that does away with its connection costs its own order one run, and no other order."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session

from kernel.builtin import projects
from kernel.db.guard import GUARD
from kernel.handlers import Handlers, Run
from kernel.orders.cancel import cancel
from kernel.runs.execute import execute, execute_each
from kernel.runtime.kernel import Kernel
from tests.support.factories import make_order, order
from tests.support.handlers.misbehaving import Named, names, write

MakeKernel = Callable[..., Kernel]
Act = Callable[[Any], object]

ACTS: dict[str, Act] = {
    "close the connection": lambda session: session.connection().close(),
    "close what it is bound to": lambda session: session.get_bind().close(),
    "leave the connection's block": lambda session: session.connection().__exit__(None, None, None),
    "invalidate the connection": lambda session: session.connection().invalidate(),
    "invalidate what it is bound to": lambda session: session.get_bind().invalidate(),
    "invalidate the session": lambda session: session.invalidate(),
    "give the connection back": lambda session: session.connection().connection.close(),
    "invalidate the pooled one": lambda session: session.connection().connection.invalidate(),
    "close the transaction": lambda session: session.connection().get_transaction().close(),
    "roll it back": lambda session: session.connection().get_transaction().rollback(),
    "commit it": lambda session: session.connection().get_transaction().commit(),
    "roll the connection back": lambda session: session.connection().rollback(),
    "close the plain session": Session.close,
    "commit the plain session": Session.commit,
    "unbind the session": lambda session: setattr(session, "bind", None),
}


def close_the_drivers(session: Any) -> None:
    """Close the connection below SQLAlchemy: it looks as if the database had dropped it."""
    session.connection().connection.driver_connection.close()


def leaving(act: Act, then: str) -> Handlers:
    """A registry whose handler writes; for the order named ``bad`` it acts, and then does more."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, args.name)
        if args.name == "bad":
            try:
                act(run.session)
            except Exception:
                if then != "returns":
                    raise
            if then == "writes":
                write(run, "more")
            if then == "raises":
                raise ZeroDivisionError
        return {}

    return registry


def run_three(kernel: Kernel) -> list[tuple[str, str | None, int]]:
    """Run an order whose handler does away with its connection, and two behind it."""
    ids = [
        make_order(kernel, select_tag="do", args=f'{{"name": "{name}"}}')
        for name in ("bad", "good", "good too")
    ]
    ends = list(execute_each(kernel, ids))
    again = [end.order_id for end in ends if end.again_in == 0]
    assert {end.order_id for end in ends} == set(ids), (
        "each order is heard of, one way or the other"
    )
    assert ids[0] not in again
    list(execute_each(kernel, again))
    found = [order(kernel, order_id) for order_id in ids]
    return [(one.state, one.error_code, one.run) for one in found]


def written(kernel: Kernel) -> list[str]:
    """The names of all rows that were committed."""
    with kernel.read_session() as session:
        return sorted(names(session))


GOOD = ("success", None, 1)
GOOD_ROW = {"projname": "good", "prodesc": "", "projctime": datetime(2026, 1, 1, tzinfo=UTC)}


# SQLAlchemy warns of a transaction that was ended behind a session's back.
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
@pytest.mark.parametrize("then", ["returns", "writes", "raises"])
@pytest.mark.parametrize("act", ACTS)
def test_order_fails_at_once_and_the_next_ones_succeed(
    make_kernel: MakeKernel, database_url: str, act: str, then: str
) -> None:
    kernel = make_kernel(database_url, leaving(ACTS[act], then))
    assert run_three(kernel) == [("failed", "internal_error", 1), GOOD, GOOD]
    assert written(kernel) == ["good", "good too"]
    assert kernel.running == {}
    with kernel.run_connection() as connection:
        assert GUARD not in connection.info


def test_another_thread_commits_on_a_connection_that_a_handler_gave_back(
    make_kernel: MakeKernel, database_url: str
) -> None:
    registry, found = Handlers(), []

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        write(run, "bad")
        given_back: Any = run.session.connection().connection
        number = id(given_back.driver_connection)
        given_back.close()
        with ExitStack() as taken:  # others of the pool may have been used longer ago
            for _ in range(5):
                connection = taken.enter_context(kernel.run_connection())
                if id(connection.connection.driver_connection) == number:
                    found.append(True)
                    break
            with connection.begin():
                connection.execute(insert(projects).values(GOOD_ROW))
        return {}

    kernel = make_kernel(database_url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    assert found == [True], "another connection was taken"
    assert (order(kernel, order_id).error_code, written(kernel)) == ("internal_error", ["good"])


def test_order_fails_when_its_handler_takes_another_connection_before_it_writes(
    make_kernel: MakeKernel, database_url: str
) -> None:
    """SQLAlchemy connects again in silence, and no guard watches that connection."""
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        session: Any = run.session
        session.get_bind().invalidate()
        write(run, args.name)
        return {}

    kernel = make_kernel(database_url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    found = order(kernel, order_id)
    assert (found.state, found.error_code, written(kernel)) == ("failed", "internal_error", [])


@pytest.mark.parametrize("then", ["returns", "writes", "raises"])
def test_run_counts_as_broken_when_the_drivers_connection_is_closed(
    make_kernel: MakeKernel, main_rows_url: str, then: str
) -> None:
    """kernel cannot tell it from a server that went away; each such run counts."""
    kernel = make_kernel(main_rows_url, leaving(close_the_drivers, then))
    first, *others = run_three(kernel)
    if then == "raises":  # the handler's own error is what kernel sees first
        assert first == ("failed", "internal_error", 1)
    else:
        assert first == ("pending", None, 1)
    assert others == [GOOD, GOOD]
    assert (written(kernel), kernel.running) == (["good", "good too"], {})


def test_order_ends_as_keeps_breaking_when_each_run_closes_the_drivers_connection(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    kernel = make_kernel(main_rows_url, leaving(close_the_drivers, "returns"))
    order_id = make_order(kernel, select_tag="do", args='{"name": "bad"}')
    for _ in range(20):
        execute(kernel, order_id)
        kernel.clock.shift(31)
    found = order(kernel, order_id)
    assert (found.state, found.error_code, found.run) == ("failed", "keeps_breaking", 20)


@pytest.mark.parametrize("then", ["returns", "writes", "raises"])
def test_file_is_free_again_when_the_drivers_connection_is_closed(
    make_kernel: MakeKernel, sqlite_url: str, then: str
) -> None:
    kernel = make_kernel(sqlite_url, leaving(close_the_drivers, then))
    (state, code, run), *others = run_three(kernel)
    assert (state, code, run) in [("pending", None, 1), ("failed", "internal_error", 1)]
    assert others == [GOOD, GOOD]
    assert (written(kernel), kernel.running) == (["good", "good too"], {})


def test_acknowledged_cancel_is_honoured_when_the_connection_was_closed(
    make_kernel: MakeKernel, main_rows_url: str
) -> None:
    registry = Handlers()

    @registry.register("do", Named)
    def do(run: Run, args: Named) -> dict[str, Any]:
        cancel(kernel, 1, run.order_id)
        run.session.connection().close()
        return {}

    kernel = make_kernel(main_rows_url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    assert order(kernel, order_id).state == "cancelled"
