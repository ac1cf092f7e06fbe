"""Callers that poll: orders without a callback, lists by id, and answers that wait for the end."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from kernel.callers import keys
from kernel.db.tables.deliveries import DELIVERIES
from kernel.runtime.kernel import Kernel
from kernel.testing import drain
from kernel.views.http.long_polls import LONG_POLLS, MAX_WAIT, PLACES, SERVER_ENDS
from tests.support.clients import Client, client, codes, handlers, is_refusal, new_key, serve


@pytest.fixture
def kernel(make_kernel: Callable[..., Kernel], database_url: str) -> Kernel:
    return make_kernel(database_url, handlers)


@pytest.fixture
def zammad(kernel: Kernel) -> Client:
    return client(kernel)


def polled(zammad: Client, **members: Any) -> str:
    """Submit an order without a callback; return its id."""
    return str(zammad.submit(callback_url=None, **members).json["data"]["order_id"])


def deliveries(kernel: Kernel) -> int:
    with kernel.read() as connection:
        return int(connection.scalar(select(func.count()).select_from(DELIVERIES)) or 0)


@pytest.mark.parametrize(("name", "state"), [("good", "success"), (" ", "failed")])
def test_order_without_a_callback_ends_and_owes_none(
    kernel: Kernel, zammad: Client, name: str, state: str
) -> None:
    order_id = polled(zammad, projname=name)
    assert zammad.get(f"/v1/orders/{order_id}").json["data"]["callback_url"] is None
    drain(kernel)
    data = zammad.get(f"/v1/orders/{order_id}").json["data"]
    assert (data["state"], data["callback_url"], data["deliveries"]) == (state, None, [])
    assert (deliveries(kernel), kernel.transport.sent) == (0, [])


def test_order_without_a_callback_is_cancelled_without_one(kernel: Kernel, zammad: Client) -> None:
    order_id = polled(zammad)
    assert zammad.post(f"/v1/orders/{order_id}/cancel").status_code == 200
    assert deliveries(kernel) == 0


@pytest.mark.parametrize(("url", "code"), [("", "callback_url_refused"), (7, "string_type")])
def test_what_is_neither_null_nor_an_address_is_refused(
    zammad: Client, url: Any, code: str
) -> None:
    assert codes(zammad.submit(callback_url=url)) == [("/callback_url", code)]


def test_callback_url_is_not_forgotten_by_accident(zammad: Client) -> None:
    order = {"select_tag": "create_project", "projname": "x"}
    assert codes(zammad.post("/v1/orders", json=order)) == [("/callback_url", "missing")]


def test_repeat_under_a_key_differs_when_it_asks_for_a_callback(zammad: Client) -> None:
    first = zammad.submit(key="k", callback_url=None)
    assert (
        zammad.submit(key="k", callback_url=None).json["data"]["order_id"]
        == (first.json["data"]["order_id"])
    )
    assert is_refusal(zammad.submit(key="k"), 422, "idempotency_key_reused")


def test_list_by_ids_has_the_callers_own_newest_first(kernel: Kernel, zammad: Client) -> None:
    mine = [polled(zammad) for _ in range(3)]
    others = client(kernel, "jira").submitted()
    listed = zammad.get(f"/v1/orders?ids={mine[0]},{others},{mine[2]}").json["data"]
    assert [one["order_id"] for one in listed["orders"]] == [mine[2], mine[0]]
    assert listed["next_cursor"] is None


def test_list_by_ids_keeps_the_other_filters_and_pages(kernel: Kernel, zammad: Client) -> None:
    first = polled(zammad)
    drain(kernel)
    second, third = polled(zammad), polled(zammad)
    named = f"/v1/orders?ids={first},{second},{third}"

    def found(query: str) -> list[str]:
        return [one["order_id"] for one in zammad.get(named + query).json["data"]["orders"]]

    assert found("&state=success") == [first]
    assert found("&state=pending") == [third, second]
    assert found("&select_tag=import_projects") == []
    page = zammad.get(named + "&limit=2").json["data"]
    assert page["next_cursor"] == second
    assert found(f"&limit=2&cursor={second}") == [first]


def test_list_takes_a_hundred_ids_and_no_more(zammad: Client) -> None:
    order_id = polled(zammad)
    full = ",".join([order_id] * 100)
    assert zammad.get(f"/v1/orders?ids={full}").status_code == 200
    assert is_refusal(zammad.get(f"/v1/orders?ids={full},{order_id}"), 422, "invalid_query")
    for wrong in ("", "x", f"{order_id},", f"{order_id} "):
        answer = zammad.get("/v1/orders", query_string={"ids": wrong})
        assert is_refusal(answer, 422, "invalid_query")


def test_answer_waits_until_the_order_has_ended(kernel: Kernel, zammad: Client) -> None:
    order_id = polled(zammad)
    asked, answers = threading.Event(), list[Any]()

    def ask() -> None:
        asked.set()
        answers.append(zammad.get(f"/v1/orders/{order_id}?wait=30"))

    waiting = threading.Thread(target=ask)
    waiting.start()
    asked.wait()
    time.sleep(0.2)  # it is to be seen waiting
    assert not answers
    drain(kernel)
    waiting.join(10)
    assert answers[0].status_code == 200
    assert answers[0].json["data"]["state"] == "success"


@pytest.mark.parametrize("revoked", [False, True])
def test_answer_is_refused_when_the_key_was_revoked_while_it_was_held_back(
    kernel: Kernel, zammad: Client, revoked: bool
) -> None:
    order_id, looks = polled(zammad), list[bool]()

    def revoke_and_end() -> bool:
        """Asked for between two looks at the order."""
        looks.append(True)
        if revoked and len(looks) == 1:
            with kernel.write_session() as session:
                keys.revoke(session, "zammad", kernel.clock.now())
        drain(kernel)
        return False

    zammad.app.config[SERVER_ENDS] = revoke_and_end
    answer = zammad.get(f"/v1/orders/{order_id}?wait=30")
    assert looks
    assert answer.status_code == (401 if revoked else 200)


def test_answer_comes_when_the_time_is_over(zammad: Client) -> None:
    began = time.monotonic()
    answer = zammad.get(f"/v1/orders/{polled(zammad)}?wait=1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
    assert time.monotonic() - began >= 1


def test_answer_comes_at_once_when_there_is_nothing_to_wait_for(
    kernel: Kernel, zammad: Client
) -> None:
    order_id = polled(zammad)
    drain(kernel)
    began = time.monotonic()
    assert zammad.get(f"/v1/orders/{order_id}?wait=30").status_code == 200
    unknown = "00000000-0000-7000-8000-000000000000"
    assert is_refusal(zammad.get(f"/v1/orders/{unknown}?wait=30"), 404, "not_found")
    nobody = Client(zammad.app, None).get(f"/v1/orders/{order_id}?wait=30")
    assert is_refusal(nobody, 401, "unauthenticated")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("wait", ["-1", str(MAX_WAIT + 1), "x", "", "1.5", "１"])
def test_wait_is_refused_when_it_is_no_number_of_seconds(zammad: Client, wait: str) -> None:
    answer = zammad.get(f"/v1/orders/{polled(zammad)}", query_string={"wait": wait})
    assert is_refusal(answer, 422, "invalid_query")


@pytest.mark.parametrize("places", [None, 0, 1])
def test_no_more_wait_than_there_are_places(kernel: Kernel, places: int | None) -> None:
    app, key = serve(kernel), new_key(kernel, "zammad")
    order_id = polled(Client(app, key))
    ends, begun = threading.Event(), list[float]()
    if places is not None:
        app.config[LONG_POLLS] = places
    places = PLACES if places is None else places
    app.config[SERVER_ENDS] = lambda: begun.append(time.monotonic()) or ends.is_set()

    def ask() -> None:
        Client(app, key).get(f"/v1/orders/{order_id}?wait=30")

    waiting = [threading.Thread(target=ask) for _ in range(places)]
    for one in waiting:
        one.start()
    deadline = time.monotonic() + 20
    while len(begun) < 2 * places:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    began = time.monotonic()
    assert Client(app, key).get(f"/v1/orders/{order_id}?wait=30").status_code == 202
    assert time.monotonic() - began < 20
    ends.set()  # the server ends: those that wait are answered
    for one in waiting:
        one.join(10)
        assert not one.is_alive()
    assert time.monotonic() - began < 25
