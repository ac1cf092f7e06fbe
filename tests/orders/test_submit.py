"""T1: an order is accepted once, whatever is repeated, raced or dropped."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pymysql
import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from kernel.callers import identity, keys
from kernel.callers.identity import Identity
from kernel.db.tables.orders import ORDERS
from kernel.db.transactions import retrying
from kernel.delivery.redeliver import list_deliveries, redeliver
from kernel.errors import (
    Conflict,
    IdempotencyKeyReused,
    InvalidOrder,
    NotFound,
    Unavailable,
)
from kernel.orders.cancel import cancel
from kernel.orders.submit import submit
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from tests.support.clients import Client, client, is_refusal
from tests.support.factories import ANYBODY, delivery, make_delivery, make_order, order, request


def count(kernel: Kernel) -> int:
    with kernel.read_session() as session:
        return session.scalar(select(func.count()).select_from(ORDERS)) or 0


def test_repeat_returns_the_first_order_when_key_and_body_are_the_same(kernel: Kernel) -> None:
    first = submit(kernel, ANYBODY, request(), "key")
    second = submit(kernel, ANYBODY, request(), "key")
    assert (first.replayed, second.replayed) == (False, True)
    assert first.order_id == second.order_id
    assert count(kernel) == 1


def test_repeat_is_refused_when_the_body_differs(kernel: Kernel) -> None:
    submit(kernel, ANYBODY, request(), "key")
    with pytest.raises(IdempotencyKeyReused):
        submit(kernel, ANYBODY, request(projname="other"), "key")


def test_keys_are_apart_when_the_callers_are(kernel: Kernel) -> None:
    other = Identity(client_id(kernel), "other")
    first = submit(kernel, ANYBODY, request(), "key")
    assert submit(kernel, other, request(), "key").order_id != first.order_id


def client_id(kernel: Kernel) -> int:
    with kernel.write_session() as session:
        keys.add(session, "other", kernel.clock.now())
        return identity.find(session, "other").id


def test_keys_are_apart_when_only_case_differs(kernel: Kernel) -> None:
    first = submit(kernel, ANYBODY, request(), "key")
    assert submit(kernel, ANYBODY, request(), "KEY").order_id != first.order_id


def test_orders_are_apart_when_there_is_no_key(kernel: Kernel) -> None:
    first = submit(kernel, ANYBODY, request())
    assert submit(kernel, ANYBODY, request()).order_id != first.order_id


@pytest.mark.parametrize("key", ["", " x", "x ", "x" * 256, "é", "\x07", "😀"])
def test_key_is_refused_when_it_is_malformed(kernel: Kernel, key: str) -> None:
    with pytest.raises(InvalidOrder):
        submit(kernel, ANYBODY, request(), key)


def test_one_order_is_accepted_when_fifty_identical_ones_race(kernel: Kernel) -> None:
    zammad = client(kernel)

    def submitted(_: int) -> TestResponse:
        """Submit as the API's page says: SQLite has one writer, and a busy machine makes 503."""
        while (answer := zammad.submit(key="same")).status_code == 503:
            assert answer.headers["Retry-After"]
        return answer

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(submitted, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["data"]["order_id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert count(kernel) == 1


def test_one_order_is_accepted_when_the_answer_to_its_commit_is_lost(kernel: Kernel) -> None:
    lost: list[int] = []

    def lose(connection: Any, *_: Any) -> None:
        if not lost:
            lost.append(1)
            connection.connection.dbapi_connection.commit()
            raise OperationalError("COMMIT", {}, passing(kernel))

    kernel.clock.now()
    alone = kernel.engine is not kernel.engines.single  # the INSERT commits itself
    what = "after_cursor_execute" if alone else "commit"
    event.listen(kernel.engines.single, what, lose)
    accepted = submit(kernel, ANYBODY, request())
    assert (lost, accepted.replayed) == ([1], False)
    assert count(kernel) == 1


def passing(kernel: Kernel) -> BaseException:
    """An error of this database's driver after which the same work may succeed."""
    if kernel.engine.dialect.name != "sqlite":
        return pymysql.err.OperationalError(2013, "Lost connection")
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


def test_work_is_done_again_when_the_database_dropped_it(kernel: Kernel) -> None:
    failures = [OperationalError("", {}, passing(kernel))] * 3

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert retrying(work) == "done"


def test_work_is_given_up_when_the_database_keeps_dropping_it(kernel: Kernel) -> None:
    def work() -> None:
        raise OperationalError("", {}, passing(kernel))

    with pytest.raises(Unavailable) as caught:
        retrying(work)
    assert caught.value.data["retry_after"] == 2


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Zammad-Delivery"])
def test_repeat_answers_2xx_with_the_outcome_when_the_order_has_ended(
    kernel: Kernel, zammad: Client, header: str
) -> None:
    body = {"select_tag": "create_project", "projname": "x", "callback_url": "https://e.example/"}
    first = zammad.post("/v1/orders", json=body, headers={header: "one"})
    drain(kernel)
    again = zammad.post("/v1/orders", json=body, headers={header: "one"})
    assert (again.status_code, again.json["status"]) == (200, 0)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]


@pytest.mark.parametrize(("first", "second"), [("one", '"one"'), ('a"b\\c', '"a\\"b\\\\c"')])
def test_key_is_the_same_when_it_is_quoted(zammad: Client, first: str, second: str) -> None:
    assert zammad.submit(key=first).status_code == 202
    assert "Idempotency-Replayed" in zammad.submit(key=second).headers


def test_repeat_is_refused_with_422_when_the_body_differs(zammad: Client) -> None:
    zammad.submit(key="one")
    answer = zammad.submit(key="one", projname="other")
    assert is_refusal(answer, 422, "idempotency_key_reused")


def test_repeat_answers_2xx_when_the_order_would_be_refused_today(
    make_kernel: Callable[..., Kernel], database_url: str
) -> None:
    first = client(make_kernel(database_url, callback_allow_nets=["10.0.0.0/8"]))
    url = "https://10.1.2.3/"
    order_id = first.submit(key="one", callback_url=url).json["data"]["order_id"]
    stricter = make_kernel(database_url)
    today = Client(client(stricter, "other").app, None)
    today.headers = first.headers
    answer = today.submit(key="one", callback_url=url)
    assert (answer.status_code, answer.json["data"]["order_id"]) == (202, order_id)
    assert today.submit(key="two", callback_url=url).status_code == 422


def test_cancel_is_noted_when_the_order_runs(kernel: Kernel) -> None:
    order_id = make_order(kernel, state="running")
    assert cancel(kernel, 1, order_id) == "running"
    assert order(kernel, order_id).cancel_requested_at is not None


def test_cancel_changes_nothing_when_the_order_is_cancelled(kernel: Kernel) -> None:
    order_id = make_order(kernel)
    assert cancel(kernel, 1, order_id) == cancel(kernel, 1, order_id) == "cancelled"
    with kernel.read_session() as session:
        assert len(list_deliveries(session, order_id)) == 1


@pytest.mark.parametrize("state", ["success", "warning", "failed"])
def test_cancel_is_a_conflict_when_the_order_has_ended(kernel: Kernel, state: str) -> None:
    order_id = make_order(kernel, state=state, finished_at=kernel.clock.now())
    with pytest.raises(Conflict):
        cancel(kernel, 1, order_id)


def test_cancel_finds_nothing_when_the_order_is_anothers(kernel: Kernel) -> None:
    with pytest.raises(NotFound):
        cancel(kernel, 2, make_order(kernel))


def test_redeliver_starts_the_schedule_again_when_the_delivery_is_dead(kernel: Kernel) -> None:
    delivery_id = make_delivery(kernel, state="dead", attempt=5, tries=5, client_errors=3)
    assert redeliver(kernel, 1, delivery_id)
    found = delivery(kernel, delivery_id)
    assert (found.state, found.attempt, found.tries, found.client_errors) == ("pending", 5, 0, 0)
