"""What is kept of a run that did not succeed: when, where, how, and what people are told of it."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from sqlalchemy import insert, update

from kernel.db.tables.deliveries import DELIVERIES
from kernel.db.tables.operating.runs import RUNS
from kernel.db.tables.orders import ORDERS
from kernel.db.tables.service import Worker
from kernel.errors import Reject, Retry
from kernel.handlers import Handlers, Run, Wait
from kernel.orders.decide import Exit, Failure, Why
from kernel.orders.ends.run_ends import FIRST, LAST, fingerprint
from kernel.orders.secrets.erase import Whose, erase
from kernel.runs.ends.failures import MAX_HEAD, MAX_TAIL
from kernel.runs.execute import execute
from kernel.runs.leases import leave
from kernel.runtime.kernel import Kernel
from kernel.worker.maintenance.prune import delete_orders
from tests.support.clients import client
from tests.support.factories import CALLBACK, make_order, order, rows

MakeKernel = Callable[..., Kernel]
Act = Callable[[Run], object]
HERE = __name__


class Anything(BaseModel):
    """No argument is needed."""


class WithSecret(BaseModel):
    """A secret that the handler quotes."""

    password: SecretStr


class Answer(BaseModel):
    """What another system is to answer."""

    count: int


class Unspeakable(Exception):
    """Refuses to say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def ran(make_kernel: MakeKernel, url: str, act: Act) -> tuple[Kernel, str]:
    """Run an order whose handler does ``act``."""
    registry = Handlers()

    @registry.register("do", Anything)
    def do(run: Run, _: Anything) -> Any:
        return act(run)

    kernel = make_kernel(url, registry)
    order_id = make_order(kernel, select_tag="do", args="{}")
    execute(kernel, order_id)
    return kernel, order_id


def divided(run: Run) -> object:
    return {"never": 1 // 0}


def asked(run: Run) -> object:
    try:
        return divided(run)
    except ZeroDivisionError as error:
        raise Retry(60, reason="the host is away") from error


def rejected(run: Run) -> object:
    raise Reject("no_room", "there is no room")


def unspeakable(run: Run) -> object:
    raise Unspeakable


def misread(run: Run) -> object:
    """Read what another system has answered."""
    return Answer.model_validate({"count": "many"})


def surrogate(run: Run) -> object:
    raise ValueError("half \ud800 a pair, and a \0")


def long_winded(run: Run) -> object:
    raise ValueError("x" * 100_000)


def test_run_that_succeeds_leaves_no_row(make_kernel: MakeKernel, database_url: str) -> None:
    kernel, order_id = ran(make_kernel, database_url, lambda _: {})
    assert order(kernel, order_id).state == "success"
    assert rows(kernel, RUNS) == []


def test_bug_is_told_with_its_type_its_place_and_its_traceback(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel, order_id = ran(make_kernel, database_url, divided)
    (row,) = rows(kernel, RUNS)
    assert (row.order_id, row.run, row.how, row.error_code) == (
        order_id,
        1,
        "bug",
        "internal_error",
    )
    assert (row.error_type, row.place) == ("ZeroDivisionError", f"{HERE}.divided")
    assert "in divided" in row.traceback
    assert row.message == "integer division or modulo by zero"
    assert row.began_at == order(kernel, order_id).started_at
    assert row.began_at <= row.ended_at
    assert (row.runner, row.is_counted) == (kernel.runner, False)
    assert row.fingerprint == fingerprint("do", "", Failure("ZeroDivisionError", f"{HERE}.divided"))


def test_bug_is_the_handlers_when_a_model_of_its_own_does_not_fit(
    make_kernel: MakeKernel, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    kernel, _ = ran(make_kernel, database_url, misread)
    (row,) = rows(kernel, RUNS)
    assert row.place == f"{HERE}.misread"
    assert "in misread" in row.traceback
    assert "Input should be a valid integer" in row.message
    assert "bug in a handler" in caplog.text
    assert "in misread" in caplog.text
    assert "no longer fit" not in caplog.text


def test_arguments_that_do_not_fit_are_told_by_their_places_alone(
    make_kernel: MakeKernel, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Handlers()
    registry.register("do", Answer)(lambda run, args: {})
    kernel = make_kernel(database_url, registry)
    execute(kernel, make_order(kernel, select_tag="do", args='{"count": "many"}'))
    (row,) = rows(kernel, RUNS)
    assert (row.message, row.traceback) == ("does not fit Answer: count", None)
    assert "arguments no longer fit the handler's model: ['count']" in caplog.text
    assert "many" not in caplog.text


def test_model_of_a_handler_quotes_no_part_of_a_long_secret(
    make_kernel: MakeKernel, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Handlers()

    @registry.register("open", WithSecret)
    def open_it(run: Run, args: WithSecret) -> dict[str, Any]:
        return {"never": Answer.model_validate({"count": args.password.get_secret_value()})}

    kernel = make_kernel(sqlite_url, registry)
    given = {"select_tag": "open", "callback_url": CALLBACK, "password": "tr0ub4dor" * 20}
    order_id = client(kernel).post("/v1/orders", json=given).json["data"]["order_id"]
    execute(kernel, order_id)
    (row,) = rows(kernel, RUNS)
    assert row.message == "does not fit Answer: count"
    assert "in open_it" in row.traceback
    assert "tr0ub4" not in row.traceback + caplog.text


def test_retry_says_to_callers_why_and_to_operators_what_was_behind_it(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel, _ = ran(make_kernel, database_url, asked)
    (row,) = rows(kernel, RUNS)
    assert (row.how, row.error_code, row.reason) == ("retry", None, "the host is away")
    assert (row.error_type, row.fingerprint) == ("ZeroDivisionError", None)


def test_reject_and_wait_are_told_in_the_handlers_words(
    make_kernel: MakeKernel, database_url: str
) -> None:
    kernel, _ = ran(make_kernel, database_url, rejected)
    (row,) = rows(kernel, RUNS)
    assert (row.how, row.error_code, row.reason) == ("failed", "no_room", "there is no room")
    assert row.fingerprint == fingerprint("do", "no_room")
    kernel, _ = ran(make_kernel, database_url, lambda _: Wait("approved"))
    waits = [one for one in rows(kernel, RUNS) if one.how == "wait"]
    assert [(one.reason, one.fingerprint) for one in waits] == [("event:approved", None)]


@pytest.mark.parametrize("act", [unspeakable, surrogate, long_winded])
def test_run_ends_whatever_its_error_says(
    make_kernel: MakeKernel, database_url: str, act: Act, caplog: pytest.LogCaptureFixture
) -> None:
    # Half a character in a log line cannot be sent to the process that gathers the tests' output.
    caplog.set_level(logging.CRITICAL, "kernel")
    kernel, order_id = ran(make_kernel, database_url, act)
    assert order(kernel, order_id).error_code == "internal_error"
    (row,) = rows(kernel, RUNS)
    assert row.place == f"{HERE}.{act.__name__}"
    assert len(row.traceback) < MAX_HEAD + MAX_TAIL + 100


def test_secrets_of_the_order_are_masked(make_kernel: MakeKernel, sqlite_url: str) -> None:
    registry = Handlers()

    @registry.register("open", WithSecret)
    def open_it(run: Run, args: WithSecret) -> dict[str, Any]:
        raise ValueError(f"refused: {args.password.get_secret_value()}")

    kernel = make_kernel(sqlite_url, registry)
    given = {"select_tag": "open", "callback_url": CALLBACK, "password": "tr0ub4dor&3"}
    order_id = client(kernel).post("/v1/orders", json=given).json["data"]["order_id"]
    execute(kernel, order_id)
    (row,) = rows(kernel, RUNS)
    assert "tr0ub4dor" not in row.message + row.traceback
    assert row.message.startswith("refused: ")


def test_later_run_has_a_beginning_of_its_own(make_kernel: MakeKernel, database_url: str) -> None:
    def twice(run: Run) -> object:
        if run.number == 1:
            raise Retry(0)
        return {}

    kernel, order_id = ran(make_kernel, database_url, twice)
    first = order(kernel, order_id).started_at
    execute(kernel, order_id)
    now = order(kernel, order_id)
    assert first is not None
    assert now.started_at is not None
    assert now.run_after > first
    assert now.started_at >= now.run_after
    assert [one.began_at for one in rows(kernel, RUNS)] == [first]


def test_dead_worker_is_named_by_host_and_pid(kernel: Kernel) -> None:
    now = kernel.clock.now()
    row = {"id": "r1", "host": "db-worker-3", "pid": 4711, "kind": "worker", "broken": ""}
    with kernel.write_session() as session:
        session.execute(insert(Worker).values(**row, running="", started_at=now, seen_at=now))
    order_id = make_order(kernel, state="running", run=1, runner="r1", started_at=now)
    leave(kernel, order_id, 1, Exit(Why.DIED))
    (found,) = rows(kernel, RUNS)
    assert (found.how, found.host, found.pid) == ("died", "db-worker-3", 4711)
    assert found.fingerprint == fingerprint("create_project", "worker_lost")


def test_order_of_very_many_runs_keeps_the_first_and_the_last(kernel: Kernel) -> None:
    now, runs = kernel.clock.now(), FIRST + LAST + 5
    order_id = make_order(kernel)
    for number in range(1, runs + 1):
        with kernel.write_session() as session:
            running = {"state": "running", "run": number, "started_at": now}
            session.execute(update(ORDERS).values(running))
        leave(kernel, order_id, number, Exit(Why.RETRY, after=60))
    kept = sorted(one.run for one in rows(kernel, RUNS))
    assert kept == [*range(1, FIRST + 1), *range(runs - LAST + 1, runs + 1)]


def test_what_a_run_said_goes_when_its_order_is_erased(
    make_kernel: MakeKernel, sqlite_url: str
) -> None:
    kernel, order_id = ran(make_kernel, sqlite_url, divided)
    with kernel.write_session() as session:
        session.execute(update(DELIVERIES).values(state="delivered"))
    assert list(erase(kernel, Whose(order_id=order_id))) == [1]
    (row,) = rows(kernel, RUNS)
    assert (row.reason, row.message, row.traceback) == (None, None, None)
    assert (row.error_code, row.place) == ("internal_error", f"{HERE}.divided")


def test_runs_go_with_their_order(make_kernel: MakeKernel, database_url: str) -> None:
    kernel, order_id = ran(make_kernel, database_url, divided)
    with kernel.write_session() as session:
        session.execute(update(DELIVERIES).values(state="delivered"))
    assert delete_orders(kernel, [order_id]) == 1
    assert rows(kernel, RUNS) == []


def test_failure_is_of_one_kind_with_others_of_its_place_and_not_of_other_places() -> None:
    one = Failure("ValueError", "handlers.make", "disk 1 is full")
    assert fingerprint("a", "x", one) == fingerprint(
        "a", "y", Failure("ValueError", "handlers.make")
    )
    assert fingerprint("a", "x", one) != fingerprint("b", "x", one)
    assert fingerprint("a", "x", one) != fingerprint(
        "a", "x", Failure("ValueError", "handlers.end")
    )
    assert fingerprint("a", "x") != fingerprint("a", "y")
