"""What the database says when it breaks a run: read by operators, not by viewers or callers."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from kernel.callers.people import people
from kernel.callers.people.roles import Role
from kernel.handlers import Handlers, Run
from kernel.runs.execute import execute
from kernel.runtime.kernel import Kernel
from tests.support.clients import Client, client
from tests.support.factories import CALLBACK
from tests.support.people.dashboard import operator, stranger

SAID, STATEMENT = "database is locked", "UPDATE salaries"
# Runs whose outcome is not to be written.
ARMED: list[str] = []


class Nothing(BaseModel):
    """No arguments."""


handlers = Handlers()


@handlers.register("do", Nothing)
def do(run: Run, args: Nothing) -> dict[str, Any]:
    """Have the next statement of the run fail that writes its callback."""
    ARMED.append(run.order_id)
    return {}


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], sqlite_url: str) -> Kernel:
    """One in which no run can write its outcome."""
    kernel = make_kernel(sqlite_url, handlers)

    def fail(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if ARMED and statement.startswith("INSERT INTO") and "deliveries" in statement:
            ARMED.clear()
            raise OperationalError(STATEMENT, {}, sqlite3.OperationalError(SAID))

    event.listen(kernel.engines.running, "before_cursor_execute", fail)
    return kernel


@pytest.fixture
def caller(kernel: Kernel) -> Client:
    return client(kernel)


@pytest.fixture
def order_id(kernel: Kernel, caller: Client) -> str:
    """An order whose first run was broken."""
    sent = caller.post("/v1/orders", json={"select_tag": "do", "callback_url": CALLBACK})
    order_id = str(sent.json["data"]["order_id"])
    execute(kernel, order_id)
    assert caller.get(f"/v1/orders/{order_id}").json["data"]["state"] == "pending"
    return order_id


def test_viewer_and_caller_do_not_read_what_the_database_said(
    kernel: Kernel, caller: Client, order_id: str
) -> None:
    with kernel.write_session() as session:
        key = people.add_person(session, "vera", Role.VIEWER, kernel.clock.now())
    vera = stranger(kernel)
    vera.sign_in(key.get_secret_value())
    own = Client(caller.app, key.get_secret_value())
    page = f"/dashboard/orders/{order_id}"
    answers = [
        vera.get(page),
        vera.get(f"{page}/json"),
        vera.get("/dashboard/errors"),
        own.get("/v1/errors"),
        own.get(f"/v1/orders/{order_id}"),
        caller.get(f"/v1/orders/{order_id}"),
    ]
    for answer in answers:
        assert answer.status_code in (200, 202), answer.request.path
        assert SAID not in answer.text, answer.request.path
        assert STATEMENT not in answer.text, answer.request.path


def test_operator_reads_it(kernel: Kernel, order_id: str) -> None:
    assert SAID in operator(kernel).get(f"/dashboard/orders/{order_id}").text


def test_caller_reads_the_last_error_without_a_statement_when_the_order_ends(
    kernel: Kernel, caller: Client, order_id: str
) -> None:
    for _ in range(100):
        kernel.clock.shift(31)
        execute(kernel, order_id)
    found = caller.get(f"/v1/orders/{order_id}").json["data"]
    assert (found["state"], found["error"]["code"]) == ("failed", "keeps_breaking")
    assert SAID in found["error"]["message"]
    assert STATEMENT not in found["error"]["message"]
