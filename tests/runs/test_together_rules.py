"""Which orders share a commit, and what is refused to their handlers."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from kernel.db.tables.gates import Has
from kernel.db.tables.orders import OrderSnapshot
from kernel.errors import ConfigurationError
from kernel.handlers import Handler, Handlers, Run, Wait
from kernel.runs.execute import execute_each
from kernel.runs.together import which
from kernel.runtime.kernel import Kernel
from tests.support.factories import order
from tests.support.handlers.misbehaving import Named, write
from tests.support.together import DONE, Message

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def message(make_kernel: MakeKernel, database_url: str) -> Message:
    """A message of ten short orders."""
    return Message(make_kernel, database_url)


def test_a_commit_in_a_handler_is_refused_and_stores_nothing(message: Message) -> None:
    def commit(run: Run) -> None:
        with suppress(InvalidRequestError):
            run.session.connection().commit()
        assert message.written == []

    message.does = {"4": commit}
    message.execute()
    assert message.written == message.names(4)
    assert message.states[4] == ("failed", 1)


@pytest.mark.parametrize(
    ("does", "word"),
    [
        (lambda run: run.checkpoint(1), r"run\.checkpoint\(\)"),
        (lambda run: run.step("one", dict), r"run\.step\(\)"),
        (lambda run: run.submit("long", name="child"), r"run\.submit\(\)"),
    ],
)
def test_what_commits_is_refused_in_words(
    make_kernel: MakeKernel, sqlite_url: str, does: Callable[[Run], Any], word: str
) -> None:
    message = Message(make_kernel, sqlite_url)

    def refused(run: Run) -> dict[str, Any]:
        with pytest.raises(RuntimeError, match=word + " is not for a handler with together=True"):
            does(run)
        return {}

    message.does = dict.fromkeys(("0", "4"), refused)
    message.execute()
    assert message.states == [DONE] * 10
    alone = message.make("4")
    list(execute_each(message.kernel, [alone]))
    assert order(message.kernel, alone).state == "success", "refused also where it is alone"


def test_a_wait_is_refused(make_kernel: MakeKernel, sqlite_url: str) -> None:
    message = Message(make_kernel, sqlite_url)
    told: list[BaseException] = []
    message.kernel.on_bug.append(lambda _, error: told.append(error))
    message.does = {"4": lambda run: Wait("approved")}
    message.execute()
    assert message.states[4] == ("failed", 1)
    assert "no Wait of a handler with together=True" in str(told[0])


def test_a_statement_that_could_end_the_transaction_unseen_is_refused(
    make_kernel: MakeKernel, mariadb_rows_url: str
) -> None:
    message = Message(make_kernel, mariadb_rows_url)
    message.does = {"4": lambda run: run.session.execute(text("DO 1"))}
    message.execute()
    assert message.written == message.names(4)
    assert message.states == [*[DONE] * 4, ("failed", 1), *[DONE] * 5]


TABLE: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"gates": 0}, True),
    ({"run": 1}, False),
    ({"checkpoint": 1}, False),
    *(({"gates": int(has)}, False) for has in Has),
]
FRESH: dict[str, Any] = {"id": "a", "caller_id": 1, "select_tag": "short", "callback_url": ""}
FRESH |= {"created_at": datetime.now(UTC), "state": "pending", "run": 0, "checkpoint": 0}


@pytest.mark.parametrize(("values", "together"), TABLE)
def test_which_orders_go_together(values: dict[str, Any], together: bool) -> None:
    short = Handler("short", Named, write, together=True)
    found = OrderSnapshot(**FRESH | values)
    assert which.goes_together(found, short) is together
    assert not which.goes_together(found, Handler("long", Named, write))
    assert not which.goes_together(found, replace(short, max_runs=1))
    assert not which.goes_together(found, short, is_limited=True)
    assert not which.goes_together(found, short, is_bare=False)


class Secret(BaseModel):
    """A model with a secret."""

    password: SecretStr


@pytest.mark.parametrize(
    ("model", "limits", "word"),
    [
        (Named, {"concurrency": 2}, "concurrency="),
        (Named, {"rate": "1/s"}, "rate="),
        (Named, {"soft_limit": 1.0}, "soft_limit="),
        (Named, {"guarded": True}, "guarded="),
        (Secret, {}, "secret arguments"),
        (Named, {"together": 1}, "together is True or False"),
    ],
)
def test_what_cannot_share_a_commit_is_refused_at_import(
    model: type[BaseModel], limits: dict[str, Any], word: str
) -> None:
    function: Any = write
    with pytest.raises(ConfigurationError, match=word):
        Handlers().register("short", model, **({"together": True} | limits))(function)
